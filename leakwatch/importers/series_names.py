"""What a stored series is called in captured files: the names ``analysis.subject`` reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leakwatch import metrics
from leakwatch.model.identity import TargetKind
from leakwatch.model.memory_class import process_and_class

if TYPE_CHECKING:
    from leakwatch.model.identity import ProcessInfo, Target


def series_name(metric: str, target: Target, process: ProcessInfo | None) -> str:
    """Return the name of a series as it was sampled, such as ``proc/redis[812]``, its USS, or ``proc/redis[812]/pss``.

    ``process`` is the target's, or that a class of memory (``class/redis[812]/heap``) is of; None where it is no longer
    known. Two processes of one name and pid have the same name.
    """
    quantity = metrics.capture_name(metric)
    if target.kind is TargetKind.HOST:
        return f"kernel/{quantity}"
    if target.kind is TargetKind.PROCESS:
        name = f"proc/{_process_name(target, process)}"
    elif target.kind is TargetKind.MEMORY_CLASS:
        of, key = process_and_class(target)
        name = f"class/{_process_name(of, process)}/{key}"
    else:
        name = f"{target.kind}/{target.key}"
    return f"{name}/{quantity}" if quantity else name


def _process_name(target: Target, process: ProcessInfo | None) -> str:
    pid = target.key.split("/")[1] if target.key.count("/") >= 2 else "?"
    return f"{process.name}[{process.identity.pid}]" if process else f"unknown[{pid}]"
