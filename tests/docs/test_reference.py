"""The generated pages are up to date, and every JSON output is as its schema says."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from leakwatch.cli.main import main
from tests.docs import reference

GOLDEN = reference.CHECKOUT / "tests" / "report" / "golden"
TREE = reference.CHECKOUT / "tests" / "data" / "proc" / "linux-6.18-x86_64"
CAPTURES = reference.CHECKOUT / "tests" / "data" / "captures"


@pytest.mark.parametrize("name", sorted(reference.pages()))
def test_a_generated_page_is_up_to_date(name: str) -> None:
    written = (reference.DOCS / name).read_text()
    assert written == reference.pages()[name], "run: python -m tests.docs.reference"


def strict(schema: Any) -> Any:
    """Return a schema that refuses names it does not list: what is put out is described."""
    if isinstance(schema, dict):
        found = {key: strict(value) for key, value in schema.items()}
        return {**found, "additionalProperties": False} if "properties" in found else found
    return [strict(one) for one in schema] if isinstance(schema, list) else schema


def check(name: str, values: Any) -> None:
    schema = json.loads((reference.SCHEMAS / f"{name}.json").read_text())
    Draft202012Validator.check_schema(schema)
    errors = [
        f"{one.json_path}: {one.message[:200]}" for one in Draft202012Validator(strict(schema)).iter_errors(values)
    ]
    assert not errors, "\n".join(errors)


def printed(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    code = main(list(argv))
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return captured.out


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("report", "all.json"),
        ("report", "list.json"),
        ("report", "nothing.json"),
        ("incidents", "incidents.json"),
        ("incident", "history.json"),
    ],
)
def test_golden_output_is_as_its_schema_says(name: str, file: str) -> None:
    check(name, json.loads((GOLDEN / file).read_text()))


def test_a_name_no_schema_lists_is_found() -> None:
    report = json.loads((GOLDEN / "all.json").read_text())
    report = deepcopy(report) | {"surprise": 1}
    with pytest.raises(AssertionError, match="surprise"):
        check("report", report)


def test_output_about_a_recorded_machine(capsys: pytest.CaptureFixture[str]) -> None:
    proc = str(TREE / "proc")
    check("ps", json.loads(printed(capsys, "ps", "--proc", proc, "--format", "json")))
    check("kernel", json.loads(printed(capsys, "kernel", "--proc", proc, "--format", "json")))
    pid = next(
        path.name for path in sorted((TREE / "proc").iterdir()) if path.name.isdigit() and (path / "smaps").exists()
    )
    check("maps", json.loads(printed(capsys, "maps", pid, "--once", "--proc", proc, "--format", "json")))


def test_output_about_captures(capsys: pytest.CaptureFixture[str]) -> None:
    file = str(CAPTURES / "p1_rocm_4pts.csv")
    found = json.loads(printed(capsys, "analyze", file, "--format", "json"))
    check("analyze", found)
    check(
        "explain",
        json.loads(printed(capsys, "explain", "--file", file, found["series"][0]["series"], "--format", "json")),
    )
    for line in printed(capsys, "backtest", file, "--format", "jsonl").splitlines():
        check("backtest", json.loads(line))


def test_every_module_a_page_names_is_there() -> None:
    tops = [reference.CHECKOUT / top for top in ("leakwatch", "migrations", "tests")]
    files = [file.as_posix() for top in tops for file in top.rglob("*.py")]
    missing = [
        f"{page.name}: {name}"
        for page in (*reference.DOCS.glob("*.md"), reference.CHECKOUT / "README.md")
        for name in re.findall(r"`(?:python )?([a-z_0-9/]+\.py)", page.read_text())
        if not any(file.endswith("/" + name) for file in files)
    ]
    assert not missing


def test_readme_is_short() -> None:
    assert len((reference.CHECKOUT / "README.md").read_text().splitlines()) <= 200
