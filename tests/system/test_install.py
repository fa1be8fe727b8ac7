"""Installing into a directory that stands for the machine, with a service manager that keeps a record."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from leakwatch.errors import UsageError
from leakwatch.system.service_install import Layout, install, uninstall, unit_text, write_config, write_unit
from leakwatch.system.systemd import ServiceManagerError

COMMAND = Path("/opt/leakwatch/bin/leakwatch")


@dataclass
class Record:
    """A manager that remembers what was asked and refuses what it is told to."""

    refuses: str = ""
    says: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def call(self, *arguments: str) -> str:
        self.calls.append(" ".join(arguments))
        if self.refuses and arguments[0] == self.refuses:
            raise ServiceManagerError(f"systemctl {arguments[0]} failed: no")
        return ""

    def tail(self) -> list[str]:
        return self.says


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


def test_install_takes_a_configuration_and_keeps_the_one_before(tmp_path: Path) -> None:
    # GIVEN a machine with a configuration, and another one to install
    layout = Layout(tmp_path / "root")
    layout.config.parent.mkdir(parents=True)
    layout.config.write_text("# before\n")
    mine = tmp_path / "my.toml"
    mine.write_text('[sampling]\ninterval = "30s"\n')
    # WHEN it is installed
    said: list[str] = []
    install(layout, Record(), COMMAND, start=True, say=said.append, config=mine)
    # THEN it is the service's, and the one before is kept
    assert layout.config.read_text() == mine.read_text()
    assert layout.config.with_name("config.toml.old").read_text() == "# before\n"
    assert any("config.toml.old" in line for line in said)


def test_install_writes_what_runs_and_says_what_is_next(layout: Layout) -> None:
    manager, said = Record(), []
    install(layout, manager, COMMAND, start=True, say=said.append)
    assert f"ExecStart={COMMAND} daemon\n" in layout.unit.read_text()
    assert "@LEAKWATCH@" not in layout.unit.read_text()
    assert layout.unit.stat().st_mode & 0o777 == 0o644
    assert manager.calls == ["daemon-reload", "enable --quiet leakwatch.service", "restart leakwatch.service"]
    assert any(f"sudo {COMMAND} report" in line for line in said)
    assert any("journalctl -u leakwatch" in line for line in said)


def test_install_again_keeps_the_configuration(layout: Layout) -> None:
    install(layout, Record(), COMMAND, start=True, say=lambda _: None)
    layout.config.write_text("# mine\n")
    said: list[str] = []
    install(layout, Record(), COMMAND, start=True, say=said.append)
    assert layout.config.read_text() == "# mine\n"
    assert f"Kept {layout.config} as it is" in said


def test_files_are_readable_under_a_strict_umask(layout: Layout) -> None:
    before = os.umask(0o077)
    try:
        write_unit(layout, COMMAND, lambda _: None)
        write_config(layout, lambda _: None)
    finally:
        os.umask(before)
    assert layout.unit.stat().st_mode & 0o777 == 0o644
    assert layout.config.stat().st_mode & 0o777 == 0o644
    assert layout.config.parent.stat().st_mode & 0o777 == 0o755
    assert not list(layout.config.parent.glob(".*"))


def test_without_start_it_is_only_enabled(layout: Layout) -> None:
    manager, said = Record(), []
    install(layout, manager, COMMAND, start=False, say=said.append)
    assert manager.calls == ["daemon-reload", "enable --quiet leakwatch.service"]
    assert "systemctl start leakwatch.service" in said[-1]


def test_a_service_that_does_not_start_shows_its_last_words(layout: Layout) -> None:
    manager = Record(refuses="restart", says=["/etc/leakwatch/config.toml: samplng: unknown key"])
    with pytest.raises(ServiceManagerError) as caught:
        install(layout, manager, COMMAND, start=True, say=lambda _: None)
    assert "    /etc/leakwatch/config.toml: samplng: unknown key\n" in str(caught.value)
    assert str(caught.value).endswith("journalctl -u leakwatch -n 30")


def test_a_silent_failure_shows_what_systemd_says(layout: Layout) -> None:
    with pytest.raises(ServiceManagerError, match="systemctl restart failed: no"):
        install(layout, Record(refuses="restart"), COMMAND, start=True, say=lambda _: None)


def test_a_masked_unit_is_left_masked(layout: Layout) -> None:
    layout.unit.parent.mkdir(parents=True)
    layout.unit.symlink_to("/dev/null")
    with pytest.raises(ServiceManagerError, match="systemctl unmask"):
        write_unit(layout, COMMAND, lambda _: None)


@pytest.mark.parametrize(
    "path", ["/opt/my env/bin/leakwatch", "/opt/100%/leakwatch", '/opt/"/x', "/opt/$x/l", "/o\n/l"]
)
def test_a_path_systemd_would_misread_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="environment elsewhere"):
        unit_text("ExecStart=@LEAKWATCH@ daemon", Path(path))


def installed(layout: Layout) -> Layout:
    install(layout, Record(), COMMAND, start=True, say=lambda _: None)
    layout.private_state.mkdir(parents=True)
    (layout.private_state / "leakwatch.db").touch()
    layout.state.symlink_to(layout.private_state)
    return layout


def test_uninstall_keeps_configuration_and_store(layout: Layout) -> None:
    manager, said = Record(), []
    uninstall(installed(layout), manager, purge=False, say=said.append)
    assert manager.calls == ["disable --now --quiet leakwatch.service", "daemon-reload"]
    assert not layout.unit.exists()
    assert layout.config.exists()
    assert (layout.state / "leakwatch.db").exists()
    assert str(layout.state) in said[-1]
    assert "--purge" in said[-1]


def test_purge_removes_them_too(layout: Layout) -> None:
    uninstall(installed(layout), Record(), purge=True, say=lambda _: None)
    left = (layout.unit, layout.config.parent, layout.state, layout.private_state)
    assert not any(path.exists() or path.is_symlink() for path in left)


@pytest.mark.parametrize("purge", [False, True])
def test_uninstall_twice_is_no_error(layout: Layout, *, purge: bool) -> None:
    uninstall(installed(layout), Record(), purge=purge, say=lambda _: None)
    manager, said = Record(), []
    uninstall(layout, manager, purge=purge, say=said.append)
    assert manager.calls == []
    assert "nothing to stop" in said[0]
