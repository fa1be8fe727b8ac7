"""The errors a user can cause, each with the exit code the command ends with.

The codes above 63 are those of sysexits.h, which systemd and shells know. docs/exit-codes.md lists them all.
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_LEAK = 1
"""``--exit-code`` when something leaks."""
EXIT_USAGE = 2
"""A wrong argument or a wrong configuration."""
EXIT_UNDECIDED = 3
"""``--exit-code`` when there is too little data for a verdict."""
EXIT_NOT_SAMPLED = 4
"""``--exit-code`` when there are no recent samples; ``daemon --for`` that took none."""
EXIT_DATA = 65
"""The store is damaged or was written by a newer leakwatch, or a captured file is wrong (EX_DATAERR)."""
EXIT_NO_INPUT = 66
"""There is no store or captured file to read (EX_NOINPUT)."""
EXIT_NO_INCIDENT = 67
"""No incident, finding or series of that id or name, or several (EX_NOUSER: the one addressed is not known)."""
EXIT_UNAVAILABLE = 69
"""What is needed is not there: /proc cannot be read at all, or there is no systemd (EX_UNAVAILABLE)."""
EXIT_SOFTWARE = 70
"""A defect of leakwatch (EX_SOFTWARE)."""
EXIT_NO_RESOURCES = 71
"""Too little memory, or no further thread or process (EX_OSERR)."""
EXIT_CANNOT_CREATE = 73
"""A file that is there already and was not to be overwritten (EX_CANTCREAT)."""
EXIT_IO = 74
"""The store or an output cannot be written: disk full, read-only, failing, closed (EX_IOERR)."""
EXIT_BUSY = 75
"""Another daemon holds the store (EX_TEMPFAIL)."""
EXIT_NO_PERMISSION = 77
"""The caller lacks a privilege (EX_NOPERM)."""


class LeakwatchError(Exception):
    """An error whose message is one line that says what to do; the command ends with ``exit_code``."""

    exit_code = EXIT_SOFTWARE

    @property
    def lines(self) -> tuple[str, ...]:
        """The message line by line: a name in it may hold line ends, so the text cannot be split at these."""
        return (str(self),)


class UsageError(LeakwatchError):
    """An argument that does not fit."""

    exit_code = EXIT_USAGE


class ConfigError(LeakwatchError):
    """One or more problems of the configuration, reported together."""

    exit_code = EXIT_USAGE

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))

    @property
    def lines(self) -> tuple[str, ...]:
        """A line a problem."""
        return self.problems


class NoResourcesError(LeakwatchError):
    """Too little memory, or no further thread or process."""

    exit_code = EXIT_NO_RESOURCES


class ProcUnavailableError(LeakwatchError):
    """The /proc tree cannot be listed, or what it says cannot be used."""

    exit_code = EXIT_UNAVAILABLE


class NotSampledError(LeakwatchError):
    """Nothing was measured in the time there was."""

    exit_code = EXIT_NOT_SAMPLED


class PermissionNeededError(LeakwatchError):
    """The caller lacks a privilege."""

    exit_code = EXIT_NO_PERMISSION


class CaptureError(LeakwatchError):
    """A captured file is wrong: ``FILE:LINE:COLUMN: what is wrong; what to do``."""

    exit_code = EXIT_DATA


class CaptureNotFoundError(LeakwatchError):
    """A captured file cannot be opened."""

    exit_code = EXIT_NO_INPUT


class IncidentNotFoundError(LeakwatchError):
    """No incident is called so, or several are."""

    exit_code = EXIT_NO_INCIDENT


class FindingNotFoundError(LeakwatchError):
    """No finding or captured series is called so, or several are."""

    exit_code = EXIT_NO_INCIDENT


class OutputExistsError(LeakwatchError):
    """A file that would be overwritten."""

    exit_code = EXIT_CANNOT_CREATE


class StoreNotFoundError(LeakwatchError):
    """There is no store where one was looked for."""

    exit_code = EXIT_NO_INPUT


class StorePathError(StoreNotFoundError):
    """No store can be where one was looked for: a loop of links, a name too long, a directory."""


class StoreCorruptError(LeakwatchError):
    """The file is not a readable SQLite database of ours."""

    exit_code = EXIT_DATA


class StoreTooNewError(LeakwatchError):
    """The store's schema comes from a newer leakwatch."""

    exit_code = EXIT_DATA


class StoreForeignError(LeakwatchError):
    """What is at the store's path was never a store: it is left as it is."""

    exit_code = EXIT_DATA


class StoreWriteError(LeakwatchError):
    """The store cannot be written: disk full, read-only, failing."""

    exit_code = EXIT_IO


class OutputWriteError(StoreWriteError):
    """What was asked for cannot be written where it was to go: disk full, no directory, closed standard output."""


class StoreBusyError(LeakwatchError):
    """Another daemon writes to this store."""

    exit_code = EXIT_BUSY
