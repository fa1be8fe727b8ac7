"""Nothing a name holds acts on what shows it, in any verb and format; the same with plain names has as many lines."""

from __future__ import annotations

import ast
import csv
import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import leakwatch
from leakwatch.cli.main import main
from leakwatch.evidence import bundle
from leakwatch.evidence.bundle import BundleEntry
from tests.outputs.hostile_store import NAMES, PLAIN, decoded, make_store, make_tree

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMULA = re.compile(r"[=+@\t\r\uff1d\uff0b\uff0d\uff20]|-(?![\d.]+$)")
SOME = (NAMES[0], NAMES[3], NAMES[4], NAMES[5], NAMES[7], NAMES[9], b"=1+\xc2\x9b|`<b>{0}\t")
"""One of each kind, for what is asked many times."""
TEXT, CSV, JSON, JSONL, MARKDOWN = "text", "csv", "json", "jsonl", "markdown"


class Made(NamedTuple):
    config: Path
    tree: Path
    capture: Path
    out: Path


def _make(root: Path, names: tuple[bytes, ...]) -> Made:
    root.mkdir()
    config, capture = root / "config.toml", root / "capture.csv"
    config.write_text(f'[store]\nurl = "sqlite:///{make_store(root / "leakwatch.db", names)}"\n')
    lines = [b"time,series,value"]
    for at in range(3):
        for number, raw in enumerate(names):
            quoted = raw.replace(b'"', b'""').replace(b"\n", b"").replace(b"\r", b"")
            lines.append(b'%d,"proc/%s[%d]",%d' % (1_790_000_000 + 60 * at, quoted, number + 1, 5 << 20))
    capture.write_bytes(b"\n".join(lines) + b"\n")
    return Made(config, make_tree(root / "tree", names), capture, root)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Made, Made]:
    root = tmp_path_factory.mktemp("hostile")
    return _make(root / "hostile", NAMES), _make(root / "plain", PLAIN)


def check(text: str, form: str) -> None:
    """Hold one output to its format: nothing raw, and it parses."""
    text.encode()
    for line in text.split("\n"):
        bare = line.removesuffix("\r") if form == CSV else line
        assert bare.isprintable(), ascii(line)
    if form in (JSON, JSONL):
        for document in [text] if form == JSON else text.splitlines():
            json.dumps(json.loads(document), ensure_ascii=False).encode()  # no lone surrogate
    if form == CSV:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
        assert len({len(row) for row in rows}) == 1
        assert not [cell for row in rows for cell in row if FORMULA.match(cell)]
    if form == MARKDOWN:
        assert not re.search(r"(?<!\\)[<`]", text)
        tables = [line for line in text.splitlines() if line.startswith("|")]
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in tables} == {8}


ALL = ("--verdict", "all")
CASES: list[tuple[str, Sequence[str]]] = [
    (TEXT, ("report", *ALL)),
    (JSON, ("report", *ALL, "--format", "json")),
    (CSV, ("report", *ALL, "--format", "csv")),
    (MARKDOWN, ("report", *ALL, "--format", "markdown")),
    (TEXT, ("report", "--exit-code")),
    (TEXT, ("incidents", "--all")),
    (JSON, ("incidents", "--all", "--format", "json")),
    (TEXT, ("stats",)),
    (JSON, ("stats", "--format", "json")),
    (TEXT, ("config", "check")),
    (TEXT, ("config", "show")),
    (TEXT, ("db", "stats")),
    (JSON, ("db", "stats", "--format", "json")),
    (TEXT, ("db", "check")),
    (CSV, ("db", "export")),
    (JSONL, ("db", "export", "--format", "jsonl")),
    (TEXT, ("analyze", *ALL, "{capture}")),
    (JSON, ("analyze", "--format", "json", "{capture}")),
    (JSONL, ("analyze", "--format", "jsonl", "{capture}", "{capture}")),
    (TEXT, ("backtest", "{capture}")),
    (TEXT, ("backtest",)),
    (JSONL, ("backtest", "--format", "jsonl", "{capture}")),
    (TEXT, ("evidence", "--list")),
    (TEXT, ("ps", "--proc", "{tree}", "-n")),
    (JSON, ("ps", "--proc", "{tree}", "--format", "json")),
    (TEXT, ("ps", "--proc", "{tree}", "-m")),
    (JSON, ("ps", "--proc", "{tree}", "-m", "--format", "json")),
    (TEXT, ("ps", "--proc", "{tree}", "--bar", "command")),
    (TEXT, ("ps", "--proc", "{tree}", "--pie", "name")),
    (TEXT, ("kernel", "--proc", "{tree}")),
    (JSON, ("kernel", "--proc", "{tree}", "--format", "json")),
]


def run(capsys: pytest.CaptureFixture[str], made: Made, arguments: Sequence[str]) -> tuple[int, str, str]:
    filled = [one.replace("{capture}", str(made.capture)).replace("{tree}", str(made.tree)) for one in arguments]
    code = main([*filled, "--config", str(made.config)])
    captured = capsys.readouterr()
    assert code not in (70, 130), captured.err
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


def lines_of(text: str) -> int:
    return len(text.split("\n"))


@pytest.mark.parametrize(("form", "arguments"), CASES, ids=[" ".join(arguments) for _, arguments in CASES])
def test_every_verb_and_format(
    made: tuple[Made, Made], capsys: pytest.CaptureFixture[str], form: str, arguments: Sequence[str]
) -> None:
    code, out, err = run(capsys, made[0], arguments)
    check(out, form)
    check(err, TEXT)
    plain_code, plain, plain_err = run(capsys, made[1], arguments)
    assert code == plain_code
    if form != JSON:  # a name may make more or less of a JSON document: processes of one program are one service
        assert lines_of(out) == lines_of(plain)
    assert lines_of(err) == lines_of(plain_err)


def test_each_finding_and_incident_on_its_own(made: tuple[Made, Made], capsys: pytest.CaptureFixture[str]) -> None:
    _, listed, _ = run(capsys, made[0], ("report", *ALL, "--format", "json"))
    findings = json.loads(listed)["findings"]
    assert len(findings) == len(NAMES)
    assert {one["name"] for one in findings} == {decoded(raw) for raw in NAMES}
    for one in findings:
        for options, form in (((), TEXT), (("--next",), TEXT), (("--format", "json"), JSON)):
            _, out, err = run(capsys, made[0], ("explain", one["id"], *options))
            check(out, form)
            check(err, TEXT)
        if one["incident"]:
            for options, form in (((), TEXT), (("--format", "json"), JSON)):
                check(run(capsys, made[0], ("incidents", "show", one["incident"]["id"], *options))[1], form)


def test_what_is_said_of_an_incident(made: tuple[Made, Made], capsys: pytest.CaptureFixture[str]) -> None:
    _, listed, _ = run(capsys, made[0], ("incidents", "--all", "--format", "json"))
    first = json.loads(listed)["incidents"][0]["id"]
    for raw in SOME:
        reason = raw.decode("utf-8", "surrogateescape")
        for verb in (("ack", first), ("silence", first, "--for", "1h")):
            code, out, err = run(capsys, made[0], ("incidents", *verb, f"--reason={reason}"))
            assert code == 0, err
            check(out, TEXT)
            assert lines_of(out) == 2
        check(run(capsys, made[0], ("incidents", "show", first))[1], TEXT)
        check(run(capsys, made[0], ("incidents", "--all", "--format", "json"))[1], JSON)


@pytest.mark.parametrize("number", range(len(NAMES)))
def test_each_process_of_the_tree(made: tuple[Made, Made], capsys: pytest.CaptureFixture[str], number: int) -> None:
    pid = str(20_000 + number)
    for options, form in (((), TEXT), (("--format", "json"), JSON)):
        code, out, _ = run(capsys, made[0], ("maps", pid, "--once", "--all", "--proc", "{tree}", *options))
        assert code == 0
        check(out, form)


ERRORS = (
    ("report", "--name={}", "--exit-code"), ("report", "--verdict={}"), ("report", "--window={}"),
    ("report", "--since={}"), ("explain", "--", "{}"), ("explain", "--file={}", "x"), ("evidence", "--", "no {}"),
    ("incidents", "show", "--", "{}"), ("incidents", "ack", "--", "{}"), ("analyze", "--", "{}"),
    ("analyze", "--unit={}", "x"), ("backtest", "--", "{}"), ("backtest", "--since={}"), ("kernel", "--since={}"),
    ("kernel", "--proc={}"), ("maps", "1", "--proc={}"), ("ps", "--proc={}"), ("ps", "-P", "({}"), ("ps", "-S{}"),
    ("ps", "-s{}"), ("ps", "-c{}"), ("ps", "--bar", "-o{}"), ("doctor", "--proc={}"), ("daemon", "--for={}"),
    ("db", "export", "--since={}"), ("db", "backup", "--", "/nowhere/{}"), ("db", "export", "-o/nowhere/{}"),
    ("db", "export", "-o", "/{}\x1b/x"),
)  # fmt: skip


@pytest.mark.parametrize("arguments", ERRORS, ids=[" ".join(one).replace("\x1b", "ESC") for one in ERRORS])
def test_errors_are_one_line(
    made: tuple[Made, Made], capsys: pytest.CaptureFixture[str], arguments: Sequence[str]
) -> None:
    for raw in SOME:
        name = raw.decode("utf-8", "surrogateescape").replace("/", "_")
        verb, *rest = (one.replace("{}", name) for one in arguments)
        code = main([verb, "--config", str(made[0].config), *rest])
        out, err = capsys.readouterr()
        assert code not in (70, 130), err
        check(out, TEXT)
        check(err, TEXT)
        assert len(err.splitlines()) <= (1 if code else 2), err


def test_a_wrong_configuration_is_said_line_by_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c\x1b[2Jonfig\n.toml"
    path.write_text('[sampling]\n"in\\u001b[2Jterval\\n" = 1\n"x\\u202e" = 2\n')
    assert main(["config", "check", "--config", str(path)]) == 2
    err = capsys.readouterr().err
    check(err, TEXT)
    assert len(err.splitlines()) == 2


def test_an_unknown_argument(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["report", "--\x1b[31m\nx"])
    check(capsys.readouterr().err, TEXT)


def test_the_files_of_a_bundle(made: tuple[Made, Made], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    _, listed, _ = run(capsys, made[0], ("report", *ALL, "--format", "json"))
    for one in json.loads(listed)["findings"]:
        into = tmp_path / one["id"]
        code, _, err = run(capsys, made[0], ("evidence", one["id"], "-o", str(into)))
        assert code == 0, err
        for path in into.iterdir():
            form = {".json": JSON, ".csv": CSV}.get(path.suffix, TEXT)
            check(path.read_bytes().decode().replace("\t", " "), form)


def test_what_the_kernel_says_is_readable_in_a_bundle(tmp_path: Path) -> None:
    for number, raw in enumerate(NAMES):
        data = b"Name:\t" + raw.replace(b"\n", rb"\n") + b"\nState:\tS\n"
        bundle.write([BundleEntry("status.txt", "", data)], tmp_path / str(number), 0)
        lines = (tmp_path / str(number) / "status.txt").read_bytes().decode().split("\n")
        assert [line.partition("\t")[0] for line in lines] == ["Name:", "State:", ""]
        check("\n".join(lines).replace("\t", " "), TEXT)


ALLOWED = {
    "cli/output.py",
    "system/journal.py",
    "system/worker.py",
    "demo/workloads.py",
    "store/maintenance/migrate.py",
}
"""What may touch the streams: the gate itself, the log's handler, and children that speak to their parent."""


def test_nothing_is_printed_past_the_gate() -> None:
    root = Path(leakwatch.__file__).parent
    found = [
        f"{path.relative_to(root)}:{node.lineno}"
        for path in sorted(root.rglob("*.py"))
        if path.relative_to(root).as_posix() not in ALLOWED
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and _is_output(node)
    ]
    assert found == []


def _is_output(node: ast.Call) -> bool:
    called = ast.unparse(node.func)
    return called == "print" or bool(re.fullmatch(r"sys\.(stdout|stderr)(\.buffer)?\.write(lines)?", called))
