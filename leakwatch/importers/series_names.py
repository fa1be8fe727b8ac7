"""What a stored series is called in captured files: the names ``analysis.subject`` reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leakwatch import metrics
from leakwatch.model.identity import TargetKind
from leakwatch.model.memory_class import process_and_class

if TYPE_CHECKING:
    from leakwatch.model.identity import ProcessInfo, Target

_PLAIN = frozenset({metrics.PROCESS_USS, metrics.SLAB_ACTIVE, metrics.VMALLOC_BYTES, metrics.CLASS_HELD})
"""What a series of a process, cache or caller is when its name says no quantity."""


def series_name(metric: str, target: Target, process: ProcessInfo | None) -> str:
    """Return the name of a series as it was sampled, such as ``proc/redis[812]``, its USS, or ``proc/redis[812]/pss``.

    ``process`` is the target's, or that a class of memory (``class/redis[812]/heap``) is of; None where it is no longer
    known. Two processes of one name and pid have the same name.
    """
    if target.kind is TargetKind.HOST:
        return f"kernel/{metrics.FIELDS.get(metric, metric)}"
    if target.kind is TargetKind.PROCESS:
        name = f"proc/{_process_name(target, process)}"
    elif target.kind is TargetKind.MEMORY_CLASS:
        of, key = process_and_class(target)
        name = f"class/{_process_name(of, process)}/{key}"
    else:
        name = f"{target.kind}/{target.key}"
    quantity = metric.partition(".")[2].removesuffix("_bytes")
    return name if metric in _PLAIN else f"{name}/{quantity}"


def _process_name(target: Target, process: ProcessInfo | None) -> str:
    pid = target.key.split("/")[1] if target.key.count("/") >= 2 else "?"
    return f"{process.name}[{process.identity.pid}]" if process else f"unknown[{pid}]"
