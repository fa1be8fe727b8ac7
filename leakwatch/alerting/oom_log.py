"""Tells the log of processes the kernel killed for want of memory, and whose they were."""

from __future__ import annotations

import logging

from leakwatch.model.oom import OomKill
from leakwatch.system.journal import OOM_KILLED
from leakwatch.text.escape import printable
from leakwatch.units import format_bytes

log = logging.getLogger(__name__)


def tell(kill: OomKill) -> None:
    """Write it to the log, as a warning with fields."""
    service = kill.service.key.partition(":")[2] if kill.service else ""
    fields = {
        "service": service,
        "count": kill.count,
        "certain": int(kill.certain),
        "cgroup": kill.group,
        "limit_bytes": "" if kill.limit_bytes is None else kill.limit_bytes,
    }
    log.warning("%s", _sentence(kill, service), extra={"message_id": OOM_KILLED, "leakwatch": fields})


def _sentence(kill: OomKill, service: str) -> str:
    killed = "1 process" if kill.count == 1 else f"{kill.count} processes"
    if not service:
        maybe = ", ".join(printable(key.partition(":")[2]) for key in kill.candidates)
        where = f" in {printable(kill.group)}" if kill.group else ""
        return (
            f"out of memory: the kernel killed {killed}{where}; whose cannot be told{maybe and f', maybe of {maybe}'}"
        )
    limit = "" if kill.limit_bytes is None else f"; its control group may take {format_bytes(kill.limit_bytes)}"
    sure = "" if kill.certain else " (inferred: its control group was made anew)"
    return f"out of memory: the kernel killed {killed} of {printable(service)}{sure}{limit}"
