"""Whether a service could run from an environment, asked of real directories."""

import os
from pathlib import Path

import pytest

from leakwatch.errors import PermissionNeededError
from leakwatch.system.service_install import (
    HIDDEN,
    REMEDY,
    Environment,
    first_closed,
    require_readable,
    this_environment,
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a directory everybody may enter: pytest's own is its owner's alone."""
    closed = [way for way in (tmp_path, *tmp_path.parents) if not way.stat().st_mode & 0o001]
    for way in closed:
        if way.stat().st_uid != os.getuid() or way in (Path("/root"), Path.home()):
            pytest.skip(f"{way} is closed to others and not ours to open")
        way.chmod(0o755)
    return tmp_path


@pytest.fixture
def environment(place: Path) -> Environment:
    command = place / "venv/bin/leakwatch"
    packages = place / "venv/lib/site-packages"
    command.parent.mkdir(parents=True)
    packages.mkdir(parents=True)
    for directory in (packages, *packages.parents[:2], command.parent):
        directory.chmod(0o755)
    command.touch(0o755)
    command.chmod(0o755)
    return Environment(command, place / "venv", (command, packages))


def test_an_open_environment_is_accepted(environment: Environment) -> None:
    require_readable(environment, hidden=())  # raises nothing
    assert [first_closed(path) for path in environment.paths] == [None, None]


@pytest.mark.parametrize("top", HIDDEN, ids=str)
def test_what_the_sandbox_hides_is_refused(top: Path) -> None:
    path = top / "me/venv/bin/leakwatch"
    with pytest.raises(PermissionNeededError) as caught:
        require_readable(Environment(path, top / "me/venv", (path,)))
    assert str(caught.value) == (f"the service cannot see {path}: it is below {top}, which its sandbox hides; {REMEDY}")
    assert caught.value.exit_code == 77


def test_a_name_that_only_begins_alike_is_not_hidden(environment: Environment, place: Path) -> None:
    require_readable(environment, hidden=(place / "ven",))  # raises nothing
    with pytest.raises(PermissionNeededError, match="hides"):
        require_readable(environment, hidden=(place / "venv",))


def test_an_interpreter_linked_from_a_hidden_place_is_refused(environment: Environment, place: Path) -> None:
    real = place / "hidden/python3"
    real.parent.mkdir()
    real.touch(0o755)
    link = environment.command.with_name("python")
    link.symlink_to(real)
    with pytest.raises(PermissionNeededError, match="python"):
        require_readable(Environment(environment.command, environment.prefix, (link,)), hidden=(real.parent,))


def test_a_hidden_place_that_is_itself_a_link_is_recognised(environment: Environment, place: Path) -> None:
    home = place / "home"
    home.symlink_to(place / "venv")  # as /home links to /usr/home somewhere
    with pytest.raises(PermissionNeededError, match="hides"):
        require_readable(environment, hidden=(home,))


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o754])
def test_a_closed_directory_on_the_way_is_named_with_its_remedy(environment: Environment, mode: int) -> None:
    closed = environment.command.parent
    closed.chmod(mode)
    with pytest.raises(PermissionNeededError) as caught:
        require_readable(environment, hidden=())
    assert str(caught.value).endswith(f"sudo chmod -R o+rX {environment.prefix}")
    assert str(closed) in str(caught.value)


def test_outside_the_environment_only_that_directory_is_opened(environment: Environment, place: Path) -> None:
    checkout = place / "checkout"
    checkout.mkdir(mode=0o700)
    with pytest.raises(PermissionNeededError, match=rf"sudo chmod o\+rX {checkout}$"):
        require_readable(Environment(environment.command, environment.prefix, (checkout,)), hidden=())


@pytest.mark.parametrize(
    ("kind", "mode", "passes"),
    [
        ("dir", 0o755, True),
        ("dir", 0o751, False),  # entered but not listed: Python lists its package directories
        ("dir", 0o744, False),
        ("file", 0o755, True),
        ("file", 0o644, True),
        ("file", 0o754, False),
        ("file", 0o640, False),
    ],
)
def test_the_end_of_the_way(place: Path, kind: str, mode: int, *, passes: bool) -> None:
    end = place / "end"
    end.mkdir() if kind == "dir" else end.touch()
    end.chmod(mode)
    assert first_closed(end) == (None if passes else end)


def test_this_environment_knows_interpreter_and_packages() -> None:
    try:
        environment = this_environment()
    except PermissionNeededError as error:
        pytest.skip(f"leakwatch is not installed in the environment of this test: {error}")
    assert environment.command.is_file()
    assert all(path.is_absolute() for path in environment.paths)
    assert any((path / "clock.py").exists() for path in environment.paths)
