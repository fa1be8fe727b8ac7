"""What would change a verdict and when at the earliest, from the thresholds that decide; a rule's test in sentences."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from leakwatch.analysis import thresholds as k
from leakwatch.analysis.rules.catalog import Stage, Style, rule
from leakwatch.explain.case import Case, What
from leakwatch.model.verdict import Criterion, Verdict
from leakwatch.text.escape import printable
from leakwatch.units import format_amount, format_bytes, format_duration, format_growth, format_rate

FAR = 1000.0
"""A ratio from here on stands for any larger one, see ``analysis.rules``."""


def sentence(test: Criterion) -> str:
    """Return what was found; of a rule of another version, its name and numbers."""
    known = rule(test.criterion)
    if not known.id:
        measured, threshold = _written(test, Style.UNIT)
        return f"{printable(test.criterion)}: measured {measured}, threshold {threshold}."
    return _filled(known.passed if test.passed else known.failed, test, known.style)


def wanted(test: Criterion) -> str:
    """Return what would have to be for it to pass, as a clause."""
    known = rule(test.criterion)
    return _filled(known.wanted, test, known.style) if known.id else printable(test.criterion)


def purpose(test: Criterion) -> str:
    """Return what the rule is for, empty for one of another version."""
    return rule(test.criterion).purpose


def _filled(template: str, test: Criterion, style: Style) -> str:
    measured, threshold = _written(test, style)
    window = "its time under watch" if test.window_s is None else format_duration(test.window_s)
    return template.format(measured=measured, threshold=threshold, window=window)


def _written(test: Criterion, style: Style) -> tuple[str, str]:
    return _number(test.measured, test.unit, style), _number(test.threshold, test.unit, style)


def _number(value: float | None, unit: str, style: Style) -> str:
    if value is None or not isfinite(value):
        return "nothing measured"
    if style is not Style.UNIT:
        return _ratio(value, style)
    if unit == "count/h":
        return format_growth(value, "count")
    written = {"bytes": format_bytes, "bytes/h": format_rate, "s": format_duration}.get(unit, _digits)
    return written(value)


def _ratio(value: float, style: Style) -> str:
    if style is Style.DISTANCE:
        return _digits(max(0.0, value))
    if value >= FAR:
        return f"over {FAR:.0f} times"
    # Where noise could hide all of it, the threshold is far below nothing: all of it is as far as that can go.
    return f"{_digits(value)} times" if style is Style.TIMES else f"{_digits(100 * max(-1.0, value))} %"


def _digits(value: float) -> str:
    """Return a number with about two digits that matter."""
    value = round(value, 1) + 0.0  # of -0.0 makes 0.0
    return f"{value:.0f}" if abs(value) >= 9.95 or value == round(value) else f"{value:.1f}"


HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Outlook:
    """What comes next."""

    changes: tuple[str, ...]
    """What would change the verdict, a sentence each."""
    pending: tuple[str, ...]
    """What confirmation still waits for, a sentence each; empty where there is no suspicion."""
    at_ms: int | None
    """When that is decided at the earliest; None where nothing more will be, or where no time can be told."""
    decides: str
    """What is decided then."""
    samples: int | None = None
    """After how many more samples that is, of a series that is judged sample by sample."""


def outlook(case: Case) -> Outlook:
    """Return what comes next."""
    if case.row is not None and case.row.ended_ms is not None:
        return Outlook(("It has ended: this verdict is its last.",), (), None, "")
    if case.verdict is Verdict.LEARNING or (case.verdict is Verdict.WATCH and _is_brief(case)):
        return _of_learning(case)
    if case.verdict is Verdict.LEAK:
        return _of_leak(case)
    return _of_watch(case) if case.verdict is Verdict.WATCH else _of_ok(case)


def _of_learning(case: Case) -> Outlook:
    need = " ".join(f"A first verdict is given when {wanted(test)}." for test in case.failed)
    missing = case.test("enough_data")
    if case.sparse:
        return _after_samples(case, need, missing)
    if missing is None:
        return _next(case, (need,))
    # Whole blocks are judged: the one with the first sample counts from its own beginning.
    size_ms = case.plan.base_s * 1000
    first_ms = (case.as_of_ms - round((missing.measured or 0.0) * 1000)) // size_ms * size_ms
    at_ms = case.next_checkpoint(first_ms + (missing.threshold or 0.0) * 1000)
    return Outlook((need,), (), at_ms, "a first verdict, if samples keep coming")


def _is_brief(case: Case) -> bool:
    """Return whether the growth to be watched is that of a recording too short for a verdict."""
    return case.test("enough_data") is not None


def _after_samples(case: Case, need: str, missing: Criterion | None) -> Outlook:
    """Return what a series with few samples waits for: their number, and the time they have to span."""
    count, interval_s = case.test("enough_samples"), case.interval_s or 0.0
    left = 1 if count is None else round(_left_s(count))
    if missing is not None and interval_s:
        left = max(left, -int(-_left_s(missing) // interval_s))
    at_ms = round(case.as_of_ms + left * interval_s * 1000) if interval_s else None
    return Outlook((need,), (), at_ms, "a first verdict, if samples keep coming as they have", left)


def _of_leak(case: Case) -> Outlook:
    alarm_state, history, rule_hour_s = case.alarm_state, case.history, case.plan.rule_hour_s
    if alarm_state is None or history is None or alarm_state.alarm is None:
        return _next(case, ("It is taken back when it stops growing, or when most of what grew is given back.",))
    length = max(0.0, history.record_age - alarm_state.alarm.since_age)
    paused = min(history.longest_pause, length)
    pause = format_duration(max(k.OVER_PAUSE * paused, k.OVER_SHARE * length, k.OVER_HOURS) * rule_hour_s)
    unit = case.assessment.unit
    back = format_amount(alarm_state.alarm.base + k.GONE_RATIO * (history.record - alarm_state.alarm.base), unit)
    highest = format_amount(history.record, unit)
    given = "most are gone" if unit else "the memory was given back"
    share = f"{100 * k.LEVELLING_RATIO:.0f} %"
    changes = (
        f"It is taken back when it reaches no new high for {pause}; the highest trough is {highest}.",
        f"It is taken back when it stays below {back} for {format_duration(2 * rule_hour_s)}: {given}.",
        f"It is taken back when its newest third rises by less than {share} of what the middle one did: it levels off.",
    )
    return _next(case, changes, decides="taken back, if the next look finds one of these")


def _of_watch(case: Case) -> Outlook:
    if case.at_most_watch:
        return _never(case)
    return _of_suspicion(case) if case.suspected else _of_growth(case)


def _of_suspicion(case: Case) -> Outlook:
    pending = tuple(
        sentence(test) for test in case.assessment.evidence if rule(test.criterion).stage is Stage.CONFIRMATION
    )
    waited = case.test("fresh_data")
    if waited is not None:
        changes = [
            f"It becomes a leak when new data rise by {100 * k.CONFIRM_FOLLOW:.0f} % of the first forecast or more.",
            "It is no suspicion any more when they do not; the next one begins a new forecast.",
        ]
        at_ms = case.next_checkpoint(case.checkpoint_ms + _left_s(waited) * 1000)
        return Outlook(tuple(changes), pending, at_ms, "leak, if growth goes on as forecast")
    changes = [f"It is suspect, though not at the newest look: for that {wanted(t)}." for t in case.failed]
    held = case.alarm_state.suspicion if case.alarm_state is not None else None
    if held is not None:
        forget = format_duration(k.FORGET_RATIO * held.rule_hours * case.plan.rule_hour_s)
        changes.append(f"The suspicion is dropped when the growth is not seen for {forget}.")
    return _next(case, tuple(changes), pending)


def _of_growth(case: Case) -> Outlook:
    """Of what grows and is not suspect: every test it fails, and when time alone could settle them."""
    changes = [f"It becomes suspect when {wanted(test)}." for test in case.failed]
    if case.sparse:
        return _of_seldom(case, tuple(changes))
    lasting = [test for test in case.failed if rule(test.criterion).by_time]
    if not lasting or len(lasting) < len(case.failed):
        changes.append(f"{_all_of(changes)}{_confirmation(case)}")
        suspect_ms = case.next_checkpoint(case.checkpoint_ms)
        decides = "leak, if all of that holds from the next look on"
    else:
        changes.append(f"Then {_confirmation(case)}")
        suspect_ms = case.next_checkpoint(max(_passes_ms(case, test) for test in lasting))
        decides = "leak, if it goes on growing as it does"
    return Outlook(tuple(changes), (), _leak_ms(case, suspect_ms), decides)


def _of_seldom(case: Case, changes: tuple[str, ...]) -> Outlook:
    """Return what comes next of what is sampled seldom: of a suspicion it is known how many samples it awaits."""
    awaited = case.test("fresh_samples")
    if awaited is None:
        return Outlook(changes, (), None, "")
    left = max(1, round(_left_s(awaited)))
    at_ms = round(case.as_of_ms + left * case.interval_s * 1000) if case.interval_s else None
    return Outlook(changes, (), at_ms, "leak, if growth goes on as forecast", left)


def _leak_ms(case: Case, suspect_ms: int) -> int:
    """Return when what becomes suspect at a look can be a leak; what was one before need not be confirmed anew."""
    if case.alarm_state is not None and case.alarm_state.past is not None:
        return case.next_checkpoint(case.checkpoint_ms)
    return case.next_checkpoint(suspect_ms + _wait_s(case, k.STRONG_HOURS * case.plan.rule_hour_s) * 1000)


def _all_of(changes: list[str]) -> str:
    return "All of these must hold in one window; then " if len(changes) > 1 else "Then "


def _passes_ms(case: Case, test: Criterion) -> float:
    """Return when a test passes that only takes time, if all goes on as it does."""
    if test.criterion != "long_enough":
        return case.checkpoint_ms + _left_s(test) * 1000
    # Growth that is told to be straight later on needs less patience than now.
    needed_s = min(test.threshold or 0.0, k.STRONG_HOURS * case.plan.rule_hour_s)
    at_ms = case.checkpoint_ms + max(0.0, needed_s - (test.measured or 0.0)) * 1000
    # A window is as long as the growth it holds, which may have begun before the one that was judged.
    return at_ms if case.assessment.since_ms is None else min(at_ms, case.assessment.since_ms + needed_s * 1000)


def _of_ok(case: Case) -> Outlook:
    c, rule_hour_s = case.criteria, case.plan.rule_hour_s
    if case.at_most_watch:
        return _never(case)
    if case.sparse:
        return Outlook(tuple(f"It would be suspect if {wanted(test)}." for test in case.failed), (), None, "")
    windows = sorted({k.PLAIN_HOURS * rule_hour_s, float(case.plan.windows_s[-1])})
    takes = " or ".join(_takes(case, window_s) for window_s in windows if window_s >= k.PLAIN_HOURS * rule_hour_s)
    noise = f"{k.MIN_NOISE_RATIO * c.sensitivity:g}"
    shape = f"The growth would have to be {noise} times its ups and downs, straight, on new ground and still going on."
    changes = (
        f"To be called a leak it would have to grow by {takes}; less is too little to matter.",
        f"{shape} Then {_confirmation(case)}",
    )
    if case.window_s is not None or not case.failed:
        # It grows, or did a while ago: a window that holds that growth may be straight at the next checkpoint.
        at_ms = _leak_ms(case, case.next_checkpoint(case.checkpoint_ms))
        return Outlook(changes, (), at_ms, "leak, if all of that holds from the next look on")
    at_ms = _leak_ms(case, case.next_checkpoint(case.checkpoint_ms + k.STRONG_HOURS * rule_hour_s * 1000))
    return Outlook(changes, (), at_ms, "leak, if clear growth began now")


def _takes(case: Case, window_s: float) -> str:
    least = _least(case, window_s)
    unit = case.assessment.unit
    rate = format_growth(least / window_s * HOUR_S, unit)
    return f"{format_amount(least, unit)} within {format_duration(window_s)} ({rate})"


def _least(case: Case, window_s: float) -> float:
    """Return the least growth within a window that matters, in bytes."""
    c, ratio = case.criteria, case.criteria.min_growth_ratio
    if ratio and window_s < k.LONG_HOURS * case.plan.rule_hour_s:
        ratio = max(ratio, k.MIN_GROWTH_RATIO_SHORT)
    return max(c.min_growth_bytes, ratio * case.assessment.current_bytes, c.min_rate_bytes_per_hour * window_s / HOUR_S)


def _wait_s(case: Case, window_s: float) -> float:
    """Return how long confirmation of a suspicion from a window of this length takes."""
    rule_hour_s = case.plan.rule_hour_s
    return min(k.CONFIRM_HOURS * rule_hour_s, k.CONFIRM_RATIO * window_s)


def _confirmation(case: Case) -> str:
    most = format_duration(k.CONFIRM_HOURS * case.plan.rule_hour_s)
    runs_out = "the limit were reached" if case.assessment.unit else "memory ran out"
    return (
        f"data that come after the first suspicion decide, a quarter of the window's length and at most {most}; sooner "
        f"if {runs_out} before, or if earlier lives of the service grew alike."
    )


def _never(case: Case) -> Outlook:
    why = "the kernel gives this back when memory is asked for"
    if case.what is not What.SLAB:
        why = "the kernel gives it back when asked, or it is no use of memory"
    changes = [f"It is never called a leak: {why}."]
    if case.row is not None:
        changes.append("It is to be watched only while the memory available to all falls with it.")
    return _next(case, tuple(changes))


def _left_s(test: Criterion) -> float:
    return max(0.0, (test.threshold or 0.0) - (test.measured or 0.0))


def _next(
    case: Case, changes: tuple[str, ...], pending: tuple[str, ...] = (), decides: str = "what the next look at it shows"
) -> Outlook:
    """Return that the next look decides."""
    if case.sparse:
        return Outlook(changes, pending, None, "")
    return Outlook(changes, pending, case.next_checkpoint(case.checkpoint_ms), decides)
