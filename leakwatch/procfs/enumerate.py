"""Which processes exist: the one place that asks psutil."""

from __future__ import annotations

import psutil

from leakwatch.errors import ProcUnavailableError


def pids(root: str) -> list[int]:
    """Return the process ids below a /proc tree, ascending; raises ProcUnavailableError when there are none to list.

    psutil knows the root as a global of its module, so it is set anew on each call.
    """
    psutil.PROCFS_PATH = root
    try:
        return sorted(int(pid) for pid in psutil.pids())
    except OSError as error:
        why = f"cannot list the processes in {root}: {error.strerror}; is /proc mounted?"
        raise ProcUnavailableError(why) from error
    except UnicodeEncodeError:  # psutil encodes the root strictly
        why = f"cannot list the processes in {root}: its name is not UTF-8; give a link to it"
        raise ProcUnavailableError(why) from None
    except IndexError:  # psutil 7 takes the lowest of no pids
        raise ProcUnavailableError(f"there is no process in {root}; is it a /proc?") from None
