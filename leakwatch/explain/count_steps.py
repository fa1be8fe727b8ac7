"""Where to look next when it is a number that grows, or memory that belongs to nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leakwatch import metrics
from leakwatch.escape import printable

if TYPE_CHECKING:
    from leakwatch.explain.case import Case

STEPS: dict[str, tuple[str, ...]] = {
    metrics.PROCESS_FDS: (
        "Which: sudo ls -l /proc/{pid}/fd | sed 's/.*-> //; s/[0-9][0-9]*/N/g' | sort | uniq -c | sort -rn | head",
        "What it allows itself: grep 'open files' /proc/{pid}/limits",
    ),
    metrics.PROCESS_THREADS: (
        "Which they are, by name: ps -L -o comm= -p {pid} | sort | uniq -c | sort -rn | head",
        "Where they wait: sudo gdb -p {pid} -batch -ex 'thread apply all bt 3' (stops it for a moment)",
    ),
    metrics.PROCESS_MAPPINGS: (
        "What is mapped how often: sudo awk '{print $2, $6}' /proc/{pid}/maps | sort | uniq -c | sort -rn | head",
        "What the machine allows: sysctl vm.max_map_count",
    ),
    metrics.PROCESS_CHILDREN: (
        "Which they are: ps --ppid {pid} -o comm= | sort | uniq -c | sort -rn | head",
        "How old they are: ps --ppid {pid} -o pid,etime,stat,args --sort=etime | head",
    ),
    metrics.PROCESS_ZOMBIES: (
        "Which they were: ps --ppid {pid} -o pid,stat,etime,comm | grep -w Z",
        "They go when pid {pid} waits for them (wait(2), SIGCHLD) or ends; nothing else removes one",
    ),
    metrics.IPC_SHM_ORPHANS: (
        "Which, with who made them: ipcs -m -p; what each holds: column -t /proc/sysvipc/shm",
        "To give one back once nobody needs it: ipcrm -m SHMID (its contents are lost)",
    ),
    metrics.IPC_SHM_SEGMENTS: ("Which, and who made them: ipcs -m -p; by owner: ipcs -m -c",),
    metrics.IPC_SEM_SETS: ("Which, and whose: ipcs -s -c; to remove one: ipcrm -s SEMID",),
    metrics.IPC_MSG_ORPHANS: (
        "Which, and who sent last: ipcs -q -p; the slab caches msg_msg* hold them",
        "To give one back once nobody needs it: ipcrm -q MSQID (its messages are lost)",
    ),
    metrics.IPC_MSG_QUEUES: ("Which, and whose: ipcs -q -c; to remove one: ipcrm -q MSQID",),
    metrics.TMPFS_ORPHANS: (
        "How full each is: df -t tmpfs; the largest files: sudo find /dev/shm /tmp /run -xdev -type f -size +1M -ls",
        "Who made them: the owner and time above; nobody has them open, so removing one frees it at once",
    ),
}
"""By metric."""
_BY_SORT = {
    "socket": "Sockets: sudo ss -tunap | grep pid={pid}, ; CLOSE-WAIT: it does not close what the other side did",
    "pipe": "Pipes: popen() or subprocess without close or wait; sudo lsof -p {pid} | grep -w FIFO",
    "deleted": "Deleted files it keeps open hold their space on the disk, too: sudo lsof +L1 -p {pid}",
    "file": "Files, by name: sudo lsof -p {pid} | awk '$5 == \"REG\" {print $NF}' | sort | uniq -c | sort -rn | head",
}
_OPENED_BY = "Who opens them: sudo strace -f -k -e trace=desc,network -p {pid} (-k shows the callers; slows it down)"


def count_steps(case: Case) -> tuple[str, ...]:
    """Return what to do about a number that grows."""
    pid = str(case.pid) if case.pid is not None else "PID"
    steps = list(STEPS[case.field])
    if case.field == metrics.PROCESS_FDS:
        sorts = case.row.finding.sorts if case.row is not None else ()
        most = next((printable(sort.name) for sort in sorts if sort.grown > 0), "")
        steps[1:1] = [_BY_SORT[most]] if most in _BY_SORT else []
        steps.append(_OPENED_BY)
    return tuple(step.replace("{pid}", pid) for step in steps)
