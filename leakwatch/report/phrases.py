"""Reasons and notes in words: analysis and alerting say them as codes with parameters, and only here they get words.

A row is a template: ``{0}`` is the first parameter as it is, ``{0:time}`` one in seconds, ``{0:bytes}`` one in bytes,
``{0:share}`` a share of one; a code that is the id of a rule of the detector takes that rule's own short reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from leakwatch.analysis.rules.catalog import rule
from leakwatch.clock import rfc3339
from leakwatch.model.verdict import Phrase
from leakwatch.units import format_bytes, format_duration, format_growth

Param = float | str
NAMED = 6
"""Of the caches merged into one, those that are named; the others are counted."""

_WORDS = {
    "text": "{0}",
    # Why a verdict is what it is.
    "looked_like_a_leak": "looked like a leak a moment ago; data that come now will decide",
    "looks_like_a_leak": "looks like a leak; data that come now will decide",
    "samples_decide": "looks like a leak; the samples that come now will decide",
    "awaits_read": "looks like a leak, but its size is estimated just now; it is read before it is called one",
    "by_estimates": "by estimates alone, as it is too large to be read without making it wait",
    "below_highest": "below its highest level of {0:time}",
    "no_growth": "no growth within {0:time}",
    "never_risen": "has never risen by {0:share} of what is worth telling",
    "too_little_data": "{0:time} of data, {1:time} needed for a first verdict",
    "verdict_due": "{0:time} of data; the next look gives a first verdict",
    "samples_missing": "too many samples are missing within {0:time} for a verdict",
    "too_short": "grows over {0:time}, which is too short to tell for how long",
    "grows_over_samples": "grows over {0} samples, in a straight line and on new ground",
    "memory_given_back": "the memory was given back",
    "most_are_gone": "most of them are gone again",
    "growth_stopped": "the growth has stopped",
    "growth_levels_off": "the growth levels off",
    "limit_comes_first": "a rise over {0:time}; the limit would be reached before it could be confirmed",
    "given_back_when_asked": "but the kernel gives this back when memory is asked for",
    "takes_no_memory": "rises, but takes no memory: it is what is free, or a total",
    "reclaimable_available_falls": "is reclaimable, but available memory falls with it",
    "reclaimable_available_holds": "grows, but is reclaimable and available memory does not fall with it",
    "notes_of_reclaimable_available_falls": "holds what the kernel notes of reclaimable objects, but available memory "
    "falls with it",
    "notes_of_reclaimable_available_holds": "grows, but holds what the kernel notes of reclaimable objects and "
    "available memory does not fall with it",
    "at_least": "at least {0:bytes}:",
    "not_evaluated": "not yet evaluated",
    # What else belongs to a finding.
    "processes": "{0} processes",
    "its_memory_grows": "its memory grows, too: {0}",
    "their_memory_grows": "their memory grows, too: {0}",
    "slab_cache": "slab cache",
    "reclaimable_slab_cache": "reclaimable slab cache",
    "unreclaimable_slab_cache": "unreclaimable slab cache",
    "reclaimable_with_others": "reclaimable with the caches whose objects it describes",
    "vmalloc_stacks": "vmalloc: kernel stacks, one a thread",
    "vmalloc_caller": "vmalloc, by the function that asked for it",
    "right_within": "at any one moment right within {0:bytes}",
    "dying_groups": "{0} control groups are removed and still held",
    # What happened to an incident.
    "leaks_again": "leaks again, {0:time} after it was resolved",
    "kernel_gone": "no longer seen: it is gone, or its parts explain it",
    "process_gone": "no longer seen: it ended and did not come back, or is ignored now",
    "restarted": "restarted",
    "restarted_as": "restarted: pid {0}, now {1}",
    "learns_anew": "learning anew",
    "not_suspected_again": "the suspicion did not come back for {0:time}",
    "memory_back": "memory is back in the range it had before it grew",
    "number_back": "it is back in the range it had before it grew",
    "clean_after_restart": "no leak for {0:time} after its restart; it took {1:time} to show",
    "flat": "no leak for {0:time}; it had grown for {1:time}",
    "silence_over": "the silence is over",
    "silenced": "for {0:time}, until {1:minute}",
}


def text(phrases: Iterable[Phrase]) -> str:
    """Return phrases in one line, in an operator's words."""
    line = ""
    for phrase in phrases:
        worded = _worded(phrase)
        line += f"{'' if not line else ' ' if line.endswith(':') else '; '}{worded}"
    return line


def _worded(phrase: Phrase) -> str:
    try:
        if phrase.code in _OWN:
            return _OWN[phrase.code](phrase.params)
        if short := rule(phrase.code).short:
            return short.format(window=format_duration(float(phrase.params[0])))
        return _WORDS[phrase.code].format(*map(_Param, phrase.params))
    except (LookupError, ValueError, TypeError):  # of another version
        return " ".join([phrase.code.replace("_", " "), *map(str, phrase.params)])


class _Param:
    """A parameter that a template writes."""

    def __init__(self, value: Param) -> None:
        self._value = value

    def __format__(self, how: str) -> str:
        if not how:
            return str(self._value)
        number = float(self._value)
        return {
            "time": lambda: format_duration(number),
            "bytes": lambda: format_bytes(round(number)),
            "share": lambda: f"{number:.0%}",
            "minute": lambda: rfc3339(round(number)).replace("T", " ")[:16] + "Z",
        }[how]()


def _rate(params: Sequence[Param]) -> str:
    return format_growth(float(params[0]), str(params[1]))


def _processes_grow(params: Sequence[Param]) -> str:
    growing, members, unit, *pairs = params
    rates = [
        f"pid {pid} {format_growth(float(slope), str(unit))}"
        for pid, slope in zip(pairs[::2], pairs[1::2], strict=True)
    ]
    return f"{growing} of {members} processes grow: {', '.join(rates)}"


def _processes_read(params: Sequence[Param]) -> str:
    read, processes = params
    if processes == 1:
        return "its process is not read and counts by an estimate"
    told = f"{read} of {processes} processes {'is' if read == 1 else 'are'} read"
    return f"{told}, the others count by an estimate" if read else f"{told}, they count by estimates"


def _merged(params: Sequence[Param]) -> str:
    more = f" and {len(params) - NAMED} more" if len(params) > NAMED else ""
    return f"merged with {', '.join(map(str, params[:NAMED]))}{more}"


def _in_samples(what: str) -> Callable[[Sequence[Param]], str]:
    def worded(params: Sequence[Param]) -> str:
        count, failed, window_s = params
        return f"{what} within {count} samples: {_worded(Phrase(str(failed), (window_s,)))}"

    return worded


def _too_few_samples(params: Sequence[Param]) -> str:
    count, span_s, need, need_s = params
    wanted = [f"{need}"] if need else []
    wanted += [f"{'over ' if need else ''}{format_duration(float(need_s))}"] if need_s else []
    return (
        f"{count} samples over {format_duration(float(span_s))} of data, {' '.join(wanted)} needed for a first verdict"
    )


_OWN: dict[str, Callable[[Sequence[Param]], str]] = {
    "processes_grow": _processes_grow,
    "processes_read": _processes_read,
    "merged_with": _merged,
    "largest": lambda params: f"largest: {', '.join(map(str, params))}",
    "grows_in_samples": _in_samples("grows"),
    "no_growth_in_samples": _in_samples("no lasting growth"),
    "too_few_samples": _too_few_samples,
    "at_rate": lambda params: f"{_rate(params)}:",
    "leaks_after_restart": lambda params: f"leaks after its restart as well: {_rate(params)}",
}
"""What takes more than a template."""
