"""All steps for a process, in order. Pure."""

from __future__ import annotations

from leakwatch.nextsteps import languages, native
from leakwatch.nextsteps.process_context import Patient
from leakwatch.nextsteps.runtime import RuntimeKind
from leakwatch.nextsteps.step import Step, in_order

_NATIVE_TOO = frozenset({RuntimeKind.CPYTHON, RuntimeKind.RUBY, RuntimeKind.PHP, RuntimeKind.PERL})
"""Runtimes whose own objects come from the C library's allocator, which may keep what was freed."""


def steps_for(patient: Patient) -> tuple[Step, ...]:
    """Return what to do about a process, safest first."""
    kind = patient.runtime.kind
    found = list(native.mappings(patient))
    if kind in languages.BY_KIND:
        found += languages.BY_KIND[kind](patient)
        if kind in _NATIVE_TOO:
            found += native.retention(patient)
        if kind is not RuntimeKind.GO:
            found += native.tracing(patient)
    else:
        found += native.steps(patient)
    return in_order(found)
