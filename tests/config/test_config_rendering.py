"""What is rendered reads back the same; the shipped example is the defaults."""

from __future__ import annotations

import re
import tempfile
import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leakwatch.config import (
    AnalysisConfig,
    Config,
    IgnoreConfig,
    Override,
    SamplingConfig,
    StoreConfig,
    Thresholds,
    default_toml,
    load_config,
    render_config,
)
from leakwatch.config import keys as config_keys
from leakwatch.config.keys import LARGEST_BYTES, LARGEST_STORE_BYTES, LONGEST_S, SECTIONS
from leakwatch.errors import ConfigError, LeakwatchError

if TYPE_CHECKING:
    from pathlib import Path

# A first run builds hypothesis's tables of characters, which takes a second, and a busy machine knows no deadline.
RELAXED = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)


def load_text(text: str) -> Config:
    with tempfile.NamedTemporaryFile("w", suffix=".toml", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        return replace(load_config(file.name), sources=())


def problems_of(text: str) -> tuple[str, ...]:
    try:
        load_text(text)
    except ConfigError as error:
        return error.problems
    return ()


# Any character TOML can hold, which is all but surrogates.
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip)
patterns = st.lists(names, max_size=3).map(tuple)
thresholds = st.builds(
    Thresholds,
    sensitivity=st.sampled_from(["low", "normal", "high"]),
    min_rate_bytes_per_hour=st.floats(1, LARGEST_BYTES),
    min_growth_bytes=st.integers(1, LARGEST_BYTES),
    min_growth_ratio=st.floats(0, 1, exclude_min=True),
    horizon_s=st.floats(1, LONGEST_S),
)
# Drawn so that they do not contradict one another; what does is tested by its message.
configs = st.builds(
    Config,
    sampling=st.builds(SamplingConfig, interval_s=st.floats(0.1, 5), slow_every=st.integers(1, 1000)),
    analysis=st.builds(
        AnalysisConfig,
        windows_s=st.sets(st.integers(60, 30 * 86400), min_size=1, max_size=8).map(lambda s: tuple(sorted(s))),
    ),
    store=st.builds(
        StoreConfig,
        url=st.sampled_from(["", "sqlite:////var/lib/ä b.db", "sqlite:///x.db"]),
        keep_samples_s=st.floats(60 * 86400, LONGEST_S),
        keep_blocks_s=st.floats(30 * 86400, LONGEST_S),
        max_size_bytes=st.integers(8 << 20, LARGEST_STORE_BYTES),
        max_samples_bytes=st.integers(1 << 20, LARGEST_STORE_BYTES),
        max_blocks_bytes=st.integers(1 << 20, LARGEST_STORE_BYTES),
    ),
    thresholds=thresholds,
    overrides=st.lists(
        st.builds(Override, st.sampled_from(["service", "process", "kernel"]), names, thresholds),
        max_size=4,
        unique_by=lambda override: (override.kind, override.pattern),
    ).map(tuple),
    ignore=st.builds(IgnoreConfig, patterns, patterns, patterns, patterns),
)


@RELAXED
@given(configs)
def test_a_rendered_configuration_reads_back_the_same(config: Config) -> None:
    # Tables of one kind come together in TOML, so only the order within a kind, which is all that counts, remains.
    expected = sorted(config.overrides, key=lambda override: override.kind)
    again = load_text(render_config(config))
    assert sorted(again.overrides, key=lambda override: override.kind) == expected
    assert replace(again, overrides=()) == replace(config, overrides=())


def test_values_are_rendered_in_the_largest_unit_that_is_exact() -> None:
    config = replace(
        Config(),
        sampling=SamplingConfig(interval_s=0.5),
        overrides=(Override("service", 'a"b', Thresholds(min_growth_bytes=1025, min_rate_bytes_per_hour=10 / 24)),),
    )
    text = render_config(config)
    assert 'interval = "0.5s"' in text
    assert 'windows = ["1h", "4h", "16h", "64h", "10d"]' in text
    assert 'max_size = "1GiB"' in text
    assert '[thresholds.service."a\\"b"]\nsensitivity = "normal"\n' in text
    assert 'min_rate = "0.4166666666666667B/h"\nmin_growth = "1025B"\n' in text


toml_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.dates(), st.just(0x10**2000)
)
known_keys = st.sampled_from([key for keys in SECTIONS.values() for key in keys])
toml_values = st.recursive(
    toml_scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(known_keys | names, inner, max_size=3),
    max_leaves=6,
)


def toml_of(value: object) -> str:
    if value is None or isinstance(value, str):
        return config_keys.quoted(value or "60s")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > 100:
        return hex(value) if value > 0 else f"-{10**40}"  # TOML has no sign before hex, Python no long decimals
    if isinstance(value, list):
        return f"[{', '.join(map(toml_of, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{config_keys.quoted(key)} = {toml_of(inner)}' for key, inner in value.items())}}}"
    return str(value)


@RELAXED
@given(st.dictionaries(st.sampled_from([*SECTIONS, "service", "x"]), toml_values, max_size=4))
def test_whatever_toml_says_nothing_but_a_config_error_is_raised(tables: dict[str, object]) -> None:
    text = "\n".join(f"{name} = {toml_of(value)}" for name, value in tables.items())
    tomllib.loads(text)
    assert all(problem.isprintable() for problem in problems_of(text))


@RELAXED
@given(st.text(st.characters(exclude_categories=["Cs"])) | st.text("[]{}=\"'\\\n#.,5aé", max_size=40))
def test_whatever_the_text_nothing_but_a_config_error_is_raised(text: str) -> None:
    assert all(problem.isprintable() for problem in problems_of(text))


def test_the_example_is_the_defaults() -> None:
    assert load_text(default_toml()) == Config()


def test_the_example_sets_every_key_or_shows_it_commented() -> None:
    text = default_toml()
    tables = tomllib.loads(text)
    for section, keys in SECTIONS.items():
        assert section in tables
        for key in keys:
            assert key in tables[section] or re.search(rf"^# {key} = ", text, re.MULTILINE), key


def test_what_the_example_shows_commented_is_valid_too() -> None:
    shown = re.sub(r"^# (?=\[thresholds\.|\w+ = )", "", default_toml(), flags=re.MULTILINE)
    config = load_text(shown)
    assert [override.kind for override in config.overrides] == ["service", "process", "kernel"]
    assert () not in (config.ignore.services, config.ignore.processes, config.ignore.users, config.ignore.kernel)
    assert config.thresholds_for("service", "redis-server.service").min_growth_bytes == 256 << 20


def test_every_setting_of_the_example_has_its_reason_right_above() -> None:
    lines = default_toml().splitlines()
    for number, line in enumerate(lines):
        if re.match(r"\w+ = ", line):
            assert lines[number - 1].startswith("# "), line


def test_a_checkout_and_a_wheel_both_find_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN an installed package, where the example lies inside
    package = tmp_path / "site-packages/leakwatch"
    package.mkdir(parents=True)
    (package / "_config.example.toml").write_text("# installed\n")
    monkeypatch.setattr("leakwatch.__file__", str(package / "__init__.py"))
    assert default_toml() == "# installed\n"

    # WHEN it is gone THEN that is said
    (package / "_config.example.toml").unlink()
    with pytest.raises(LeakwatchError, match="missing from this installation"):
        default_toml()
