"""Which files are read, and how the later overrule the earlier."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from leakwatch.config import Config, SamplingConfig, Thresholds, load_config
from leakwatch.errors import EXIT_USAGE, ConfigError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    folder = tmp_path / "etc"
    (folder / "conf.d").mkdir(parents=True)
    return folder


def problems_of(path: str | None = None, **options: Path) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_config(path, **options)
    assert caught.value.exit_code == EXIT_USAGE
    return caught.value.problems


def test_without_files_the_defaults_hold(tmp_path: Path) -> None:
    assert load_config(etc=tmp_path / "absent") == Config()


def test_an_empty_file_changes_nothing(etc: Path) -> None:
    (etc / "config.toml").write_text("")

    assert load_config(etc=etc) == Config(sources=(f"{etc}/config.toml",))


def test_drop_ins_are_merged_over_the_main_file_in_the_order_of_their_names(etc: Path) -> None:
    # GIVEN keys set in one, two and three files
    (etc / "config.toml").write_text(
        '[sampling]\ninterval = "30s"\nslow_every = 2\n[ignore]\nusers = ["a", "b"]\n'
        '[thresholds.service."redis*"]\nmin_growth = "2MiB"\nmin_rate = "1MiB/h"\n'
    )
    (etc / "conf.d/20.toml").write_text('[sampling]\ninterval = "20s"\n[thresholds.service."redis*"]\nhorizon = "5d"\n')
    (etc / "conf.d/10.toml").write_text('[sampling]\ninterval = "10s"\n[ignore]\nusers = ["c"]\n')

    # WHEN they are loaded
    config = load_config(etc=etc)

    # THEN tables merge key by key, and scalars and lists are replaced
    assert config.sampling == SamplingConfig(interval_s=20, slow_every=2)
    assert config.ignore.users == ("c",)
    assert [override.pattern for override in config.overrides] == ["redis*"]
    assert config.overrides[0].thresholds == Thresholds(
        min_growth_bytes=2 << 20, min_rate_bytes_per_hour=1 << 20, horizon_s=5 * 86400
    )
    assert config.sources == (f"{etc}/config.toml", f"{etc}/conf.d/10.toml", f"{etc}/conf.d/20.toml")


def test_drop_ins_need_no_main_file(etc: Path) -> None:
    (etc / "conf.d/a.toml").write_text("[sampling]\nslow_every = 7\n")

    assert load_config(etc=etc).sampling.slow_every == 7


def test_only_toml_files_are_drop_ins_and_no_editors_leftovers(etc: Path) -> None:
    for name in (".#a.toml", "a.toml~", "README", "a.toml.dpkg-old"):
        (etc / "conf.d" / name).write_text("not = [toml")

    assert load_config(etc=etc) == Config()


def test_a_file_given_is_the_only_one_read(etc: Path, tmp_path: Path) -> None:
    (etc / "config.toml").write_text("broken")
    mine = tmp_path / "mine.toml"
    mine.write_text('[sampling]\ninterval = "5s"\n')

    config = load_config(str(mine), etc=etc)

    assert config == replace(Config(), sampling=SamplingConfig(interval_s=5), sources=(str(mine),))


def test_a_file_given_has_to_exist(tmp_path: Path) -> None:
    assert problems_of(f"{tmp_path}/no.toml") == (
        f"{tmp_path}/no.toml: cannot be read: No such file or directory; give the path of an existing file",
    )


def test_a_name_no_file_can_have_is_a_problem_like_any_other() -> None:
    assert problems_of("a\0b") == ("a\\x00b: cannot be read: embedded null byte; see to the file or leave it out",)


def test_a_file_in_etc_that_cannot_be_read_is_an_error_and_not_ignored(etc: Path) -> None:
    (etc / "config.toml").mkdir()
    (etc / "conf.d/loop.toml").symlink_to("loop.toml")
    (etc / "conf.d/dangling.toml").symlink_to("nowhere")

    assert problems_of(etc=etc) == (
        f"{etc}/config.toml: cannot be read: Is a directory; give the path of a file",
        f"{etc}/conf.d/dangling.toml: cannot be read: No such file or directory; give the path of an existing file",
        f"{etc}/conf.d/loop.toml: cannot be read: Too many levels of symbolic links; see to the file or leave it out",
    )


def test_a_conf_d_that_is_no_directory_is_an_error(etc: Path) -> None:
    (etc / "conf.d").rmdir()
    (etc / "conf.d").write_text("")

    assert problems_of(etc=etc) == (f"{etc}/conf.d: cannot be read: Not a directory; see to the file or leave it out",)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("name", ["config.toml", "conf.d"])
def test_a_refused_file_or_folder_is_an_error(etc: Path, name: str) -> None:
    (etc / "config.toml").write_text("")
    (etc / name).chmod(0)
    try:
        assert problems_of(etc=etc) == (
            f"{etc}/{name}: cannot be read: Permission denied; make it readable for the user leakwatch runs as",
        )
    finally:
        (etc / name).chmod(0o700)


def test_a_contradiction_between_files_is_located_where_the_key_was_set_last(etc: Path) -> None:
    (etc / "config.toml").write_text('[sampling]\ninterval = "1s"\n')
    (etc / "conf.d/slow.toml").write_text('\n[sampling]\ninterval = "10m"\n')

    assert [problem.partition(": at")[0] for problem in problems_of(etc=etc)] == [
        f"{etc}/conf.d/slow.toml:3: [sampling] interval"
    ]


def test_problems_of_all_files_are_reported_together(etc: Path) -> None:
    # GIVEN a key misspelt, a file that is no TOML, one that is no text, and a value that may or may not contradict them
    (etc / "config.toml").write_text('[sampling]\nintervall = "1s"\n[analysis]\nwindows = ["1m"]\n')
    (etc / "conf.d/a.toml").write_text("[sampling\n")
    (etc / "conf.d/b.toml").write_bytes(b"# caf\xe9\n")

    # THEN each is named once, and what cannot be known is not guessed
    assert problems_of(etc=etc) == (
        f"{etc}/config.toml:2: [sampling] intervall: unknown key; did you mean interval?",
        f"{etc}/conf.d/a.toml:1: column 10: not valid TOML: Expected ']' at the end of a table declaration",
        f"{etc}/conf.d/b.toml: not UTF-8 at byte 5; save the file as UTF-8",
    )
