"""Where to look next when it is a number that grows, or memory that belongs to nobody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from leakwatch import metrics
from leakwatch.model.verdict import Sort
from leakwatch.nextsteps.step import Risk, Step, in_order, look
from leakwatch.text.escape import printable

STEPS: dict[str, tuple[Step, ...]] = {
    metrics.PROCESS_FDS: (
        look(
            "Which they are",
            "sudo ls -l /proc/{pid}/fd | sed 's/.*-> //; s/[0-9][0-9]*/N/g' | sort | uniq -c | sort -rn | head",
        ),
        look("What it allows itself", "grep 'open files' /proc/{pid}/limits"),
    ),
    metrics.PROCESS_THREADS: (
        look("Which they are, by name", "ps -L -o comm= -p {pid} | sort | uniq -c | sort -rn | head"),
        Step(
            "Where they wait",
            "sudo gdb -p {pid} -batch -ex 'thread apply all bt 3'",
            Risk.ATTACH,
            "stops it for a moment",
        ),
    ),
    metrics.PROCESS_MAPPINGS: (
        look(
            "What is mapped how often",
            "sudo awk '{print $2, $6}' /proc/{pid}/maps | sort | uniq -c | sort -rn | head",
        ),
        look("What the machine allows", "sysctl vm.max_map_count"),
    ),
    metrics.PROCESS_CHILDREN: (
        look("Which they are", "ps --ppid {pid} -o comm= | sort | uniq -c | sort -rn | head"),
        look("How old they are", "ps --ppid {pid} -o pid,etime,stat,args --sort=etime | head"),
    ),
    metrics.PROCESS_ZOMBIES: (
        look("Which they were", "ps --ppid {pid} -o pid,stat,etime,comm | grep -w Z"),
        look("They go when pid {pid} waits for them (wait(2), SIGCHLD) or ends; nothing else removes one"),
    ),
    metrics.IPC_SHM_ORPHANS: (
        look("Which, with who made them", "ipcs -m -p; column -t /proc/sysvipc/shm"),
        look("To give one back once nobody needs it", "ipcrm -m SHMID", "its contents are lost"),
    ),
    metrics.IPC_SHM_SEGMENTS: (look("Which, and who made them", "ipcs -m -p; ipcs -m -c"),),
    metrics.IPC_SEM_SETS: (look("Which, and whose; ipcrm -s SEMID removes one", "ipcs -s -c"),),
    metrics.IPC_MSG_ORPHANS: (
        look("Which, and who sent last; the slab caches msg_msg* hold them", "ipcs -q -p"),
        look("To give one back once nobody needs it", "ipcrm -q MSQID", "its messages are lost"),
    ),
    metrics.IPC_MSG_QUEUES: (look("Which, and whose; ipcrm -q MSQID removes one", "ipcs -q -c"),),
    metrics.TMPFS_ORPHANS: (
        look("How full each is", "df -t tmpfs"),
        look("The largest files", "sudo find /dev/shm /tmp /run -xdev -type f -size +1M -ls"),
        look("Who made them: the owner and time above; nobody has them open, so removing one frees it at once"),
    ),
}
"""By metric."""
TOLD = STEPS.keys() | metrics.SCREENED
"""What these steps are for, instead of those for a process's memory or the kernel's."""
_BY_SORT = {
    "socket": look(
        "Sockets; CLOSE-WAIT: it does not close what the other side did", "sudo ss -tunap | grep pid={pid},"
    ),
    "pipe": look("Pipes: popen() or subprocess without close or wait", "sudo lsof -p {pid} | grep -w FIFO"),
    "deleted": look("Deleted files it keeps open, which hold their space on the disk, too", "sudo lsof +L1 -p {pid}"),
    "file": look(
        "Files, by name",
        "sudo lsof -p {pid} | awk '$5 == \"REG\" {print $NF}' | sort | uniq -c | sort -rn | head",
    ),
}
_OPENED_BY = Step(
    "Who opens them, with the callers",
    "sudo strace -f -k -e trace=desc,network -p {pid}",
    Risk.ATTACH,
    "stops it at every such call: much slower while it lasts",
)


def _source(metric: str) -> str:
    return metrics.row(metric).source.replace("PID", "{pid}")


def of_count(metric: str, pid: str, sorts: Sequence[Sort]) -> tuple[Step, ...]:
    """Return what to do about a number that grows; ``sorts`` is what it is made of, as far as that is known."""
    steps = list(STEPS.get(metric) or (look(f"It is read from {_source(metric)}"),))
    if metric == metrics.PROCESS_FDS:
        most = next((printable(sort.name) for sort in sorts if sort.grown > 0), "")
        steps[1:1] = [_BY_SORT[most]] if most in _BY_SORT else []
        steps.append(_OPENED_BY)
    return in_order(
        replace(step, purpose=step.purpose.replace("{pid}", pid), command=step.command.replace("{pid}", pid))
        for step in steps
    )
