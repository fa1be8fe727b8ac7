"""The rule catalogue: one row a rule of the detector, with its words.

The tests of windows (``rules.tests``), the transitions of an alarm, the reasons of verdicts, ``explain``, the JSON
outputs and the table in docs/detector.md go by these rows; a rule's id is what is stored and what JSON calls it. The
numbers stand in ``thresholds``, each with its reason. A new rule is a row here, a number there and a
test that names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum


class Stage(StrEnum):
    """What a rule asks, in the order in which a series goes through them."""

    DATA = "is there enough data?"
    GROWTH = "is it growth?"
    LASTING = "does it go on?"
    SHAPE = "what shape has it?"
    PATIENCE = "has it gone on for long enough?"
    LEVEL = "where does the level stand beside what is known of it?"
    CONFIRMATION = "do fresh data confirm it?"
    CONFIRMED = "what confirmed it?"


class Style(Enum):
    """How sentences write the two numbers of a rule."""

    UNIT = "unit"
    """As the unit has it."""
    SHARE = "share"
    """A ratio, in percent."""
    TIMES = "times"
    """A ratio, as a multiple."""
    DISTANCE = "distance"
    """A ratio to what differs from test to test: a plain number, 0 where there is none."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; in its words ``{measured}``, ``{threshold}`` and ``{window}`` stand for the numbers of one test."""

    id: str
    stage: Stage
    unit: str
    """``bytes``, ``bytes/h``, ``ratio``, ``s``, or empty for a plain number; of counts, counts stand for bytes."""
    threshold: str
    """What is asked for: names of ``thresholds`` in capitals, keys of ``[thresholds]`` in small letters."""
    passed: str
    failed: str
    wanted: str
    """What would have to be for it to pass, as a clause."""
    purpose: str
    short: str = ""
    """The reason a verdict gives where this rule decided it; ``{window}`` is the window's length."""
    style: Style = Style.UNIT
    by_time: bool = False
    """Whether time alone makes it pass, if all goes on as it does."""


# fmt: off
CATALOG = (
    Rule(
        "enough_data",
        Stage.DATA,
        "s",
        "half of the shortest window",
        passed="There are {measured} of data; a first verdict takes {threshold}.",
        failed="There are {measured} of data; a first verdict takes {threshold}.",
        wanted="there are {threshold} of data; so far {measured}",
        purpose="From less nothing can be said.",
    ),
    Rule(
        "enough_samples",
        Stage.DATA,
        "",
        "LEAST, of slow series",
        passed="There are {measured} samples since it last began anew; a first verdict takes {threshold}.",
        failed="There are {measured} samples since it last began anew; a first verdict takes {threshold}.",
        wanted="there are {threshold} samples since it last began anew; so far {measured}",
        purpose="From fewer nothing can be said.",
    ),
    Rule(
        "significant_slope",
        Stage.GROWTH,
        "",
        "MIN_Z x sensitivity",
        passed=(
            "The growth within {window} stands out of chance: its z is {measured}, {threshold} or more is asked for."
        ),
        failed=(
            "The growth within {window} does not stand out of chance: its z is {measured}, {threshold} is asked for."
        ),
        wanted="the growth stands out of chance by a z of {threshold}; now {measured}",
        purpose="A wandering level has a slope at any time; only one many standard errors from flat is growth.",
        short="no growth beyond noise within {window}",
    ),
    Rule(
        "min_rate",
        Stage.GROWTH,
        "bytes/h",
        "min_rate",
        passed="It grows at {measured}; {threshold} is worth waking for.",
        failed="It grows at {measured}, slower than the {threshold} worth waking for.",
        wanted="it grows at {threshold} or faster; now {measured}",
        purpose="[thresholds] min_rate (of counts min_count_rate): what is too slow for anybody to act on.",
        short="grows, but too slowly to matter",
    ),
    Rule(
        "min_growth",
        Stage.GROWTH,
        "bytes",
        "min_growth",
        passed="It grew by {measured} within {window}; {threshold} is enough to matter.",
        failed="It grew by {measured} within {window}, less than the {threshold} that matter.",
        wanted="it grows by {threshold} within a window; now {measured}",
        purpose="[thresholds] min_growth (of counts min_count_growth): what comes and goes in normal work.",
        short="grows by too little within {window} to matter",
    ),
    Rule(
        "min_growth_ratio",
        Stage.GROWTH,
        "ratio",
        "min_growth_ratio; MIN_GROWTH_RATIO_SHORT below LONG_HOURS",
        passed="That is {measured} of its level; {threshold} is enough to matter.",
        failed="That is {measured} of its level, less than the {threshold} that matter.",
        wanted="the growth is {threshold} of its level; now {measured}",
        purpose="[thresholds] min_growth_ratio: a large program breathes more than a small one.",
        short="grows by too little of its level within {window}",
        style=Style.SHARE,
    ),
    Rule(
        "above_noise",
        Stage.GROWTH,
        "ratio",
        "MIN_NOISE_RATIO; MIN_NOISE_RATIO_LONG where MIN_Z_LONG",
        passed="The growth is {measured} its own ups and downs; {threshold} is asked for.",
        failed="The growth is only {measured} its own ups and downs; {threshold} is asked for.",
        wanted="the growth is {threshold} its own ups and downs; now {measured}",
        purpose=(
            "What rises by no more than it goes up and down anyway may fall again. [thresholds] sensitivity moves it."
        ),
        short="what grows within {window} is within its noise",
        style=Style.TIMES,
    ),
    Rule(
        "newer_half_as_steep",
        Stage.LASTING,
        "ratio",
        "MIN_LATE_RATIO",
        passed="The newer half of the window rises at {measured} of the older half's rate; {threshold} is asked for.",
        failed=(
            "The newer half of the window rises at only {measured} of the older half's rate ({threshold} is asked"
            " for): it is slowing down."
        ),
        wanted="the newer half rises at {threshold} of the older half's rate; now {measured}",
        purpose="A warm-up or a cache that fills slows down; a leak does not. What noise may hide is allowed for.",
        short="grew within {window}, but is slowing: it may be bounded",
        style=Style.SHARE,
    ),
    Rule(
        "newest_third_as_steep",
        Stage.LASTING,
        "ratio",
        "MIN_THIRD_RATIO; MIN_THIRD_RATIO_YOUNG until YOUNG_HOURS",
        passed="Its newest third rises at {measured} of the middle third's rate; {threshold} is asked for.",
        failed=(
            "Its newest third rises at only {measured} of the middle third's rate ({threshold} is asked for): it "
            "is slowing down."
        ),
        wanted="the newest third rises at {threshold} of the middle third's rate; now {measured}",
        purpose=(
            "The crest of a daily rise and the end of a warm-up are seen here first. What noise may hide is "
            "allowed for."
        ),
        short="grew within {window}, but is slowing: it may be bounded",
        style=Style.SHARE,
    ),
    Rule(
        "rises_at_end",
        Stage.LASTING,
        "ratio",
        "MIN_TAIL_RATIO",
        passed="At the window's end it still rises, at {measured} of its average rate; {threshold} is asked for.",
        failed=(
            "At the window's end it rises at only {measured} of its average rate ({threshold} is asked for): it "
            "has stopped, or nearly."
        ),
        wanted="it rises at the window's end at {threshold} of its average rate; now {measured}",
        purpose="What has stopped growing is no longer a reason to act.",
        short="grew within {window} and has stopped",
        style=Style.SHARE,
    ),
    Rule(
        "as_fast_as_before",
        Stage.LASTING,
        "ratio",
        "MIN_PREVIOUS_RATIO",
        passed="It grows at {measured} of the rate it had before the window; {threshold} is asked for.",
        failed=(
            "It grows at only {measured} of the rate it had before the window ({threshold} is asked for): it may "
            "be levelling off."
        ),
        wanted="it keeps {threshold} of the rate it had before the window; now {measured}",
        purpose="The end of a long curve looks straight; beside what came before it does not.",
        short="grew faster before: it may be levelling off",
        style=Style.SHARE,
    ),
    Rule(
        "rises_since_checkpoint",
        Stage.LASTING,
        "ratio",
        "MIN_NEWEST_RATIO, where straight",
        passed=(
            "It rises now as well, by {measured} of what it usually does from look to look; {threshold} is asked for."
        ),
        failed=(
            "It has risen by only {measured} of the usual since the last look ({threshold} is asked for): it has "
            "just stopped."
        ),
        wanted="it rises by {threshold} of the usual from one look to the next; now {measured}",
        purpose="Growth this even shows at the next look when it ends: a fill that is done.",
        short="grew within {window} and has just stopped",
        style=Style.SHARE,
    ),
    Rule(
        "rises_in_newest_block",
        Stage.LASTING,
        "ratio",
        "MIN_LAST_RATIO, where straight",
        passed="It rises into the newest block, by {measured} of an average one; {threshold} is asked for.",
        failed=(
            "Into the newest block it rises by only {measured} of an average one ({threshold} is asked for): it "
            "has just stopped."
        ),
        wanted="the newest block rises by {threshold} of an average one; now {measured}",
        purpose="Growth this straight shows at once when it ends: a fill that is done.",
        short="grew within {window} and has just stopped",
        style=Style.SHARE,
    ),
    Rule(
        "as_fast_as_run_mean",
        Stage.LASTING,
        "ratio",
        "MIN_OF_LIFE, of slow series",
        passed="It grows at {measured} of the mean rate of its life; {threshold} is asked for.",
        failed=(
            "It grows at only {measured} of the mean rate of its life ({threshold} is asked for): most of it came"
            " earlier."
        ),
        wanted="it grows at {threshold} of the mean rate of its life; now {measured}",
        purpose="Creeping after a start is not what the start was.",
        style=Style.SHARE,
    ),
    Rule(
        "not_a_step",
        Stage.SHAPE,
        "ratio",
        "MAX_STEP_SHARE",
        passed="The largest single rise makes up {measured} of the growth; up to {threshold} is no step.",
        failed=(
            "One single rise makes up {measured} of the growth, more than {threshold}: a step, which need not "
            "come again."
        ),
        wanted="no single rise makes up more than {threshold} of the growth; now {measured}",
        purpose="A table that is resized or a file that is loaded is one step, not a leak.",
        short="grew within {window} in one step: it may not go on",
        style=Style.SHARE,
    ),
    Rule(
        "separate_rises",
        Stage.SHAPE,
        "",
        "MIN_RISES",
        passed="It came in {measured} separate rises; {threshold} are asked for.",
        failed="It came in only {measured} separate rises; {threshold} are asked for.",
        wanted="it rises {threshold} separate times within a window; now {measured}",
        purpose="Few steps may be the last ones; what leaks with every request rises all the time.",
        short="grew within {window}, but in a few steps: it may not go on",
    ),
    Rule(
        "above_previous_peak",
        Stage.SHAPE,
        "bytes",
        "0",
        passed="It is {measured} above the highest level known before the window: new ground.",
        failed="Its level was known before the window ({measured} beside the highest until then): no new ground.",
        wanted="its lowest level rises above the highest known before the window; now {measured} beside it",
        purpose="The tooth of a slow saw rises like a leak, but only to where the last one was.",
        short="rises within {window}, but on known ground",
    ),
    Rule(
        "near_window_peak",
        Stage.SHAPE,
        "ratio",
        "MAX_BELOW_TOP",
        passed="It stands at or near the window's highest level (distance {measured}, {threshold} allowed).",
        failed="It has come down from the window's highest level (distance {measured}, {threshold} allowed).",
        wanted="it is back near the window's highest level (distance {threshold}; now {measured})",
        purpose="What was given back was not leaked.",
        short="rose within {window} and is coming down",
        style=Style.DISTANCE,
    ),
    Rule(
        "above_earlier_moves",
        Stage.SHAPE,
        "bytes",
        "MIN_PRIOR_RATIO of the earlier range",
        passed="The growth, {measured}, is more than its earlier movements explain ({threshold}).",
        failed="The growth, {measured}, is within what its earlier movements explain ({threshold}).",
        wanted="it grows by more than {threshold}; now {measured}",
        purpose="Creeping by a small part of what a step once took is no leak yet.",
        short="grows by less than it has moved before",
    ),
    Rule(
        "long_enough",
        Stage.PATIENCE,
        "s",
        "STRONG_HOURS to CURVED_HOURS by its shape; GROWN_HOURS after YOUNG_HOURS",
        passed="It has gone on for {measured}; {threshold} is asked for.",
        failed=(
            "It has been seen to go on for {measured}; {threshold} is asked for to tell it from a cycle or a warm-up."
        ),
        wanted="it goes on for {threshold}; so far {measured}",
        purpose="Straight growth needs the least time, visibly curved growth more, the shape of a morning's rise most.",
        short="grows, but not yet for long enough to tell it from a cycle or a warm-up",
        by_time=True,
    ),
    Rule(
        "above_yesterday",
        Stage.PATIENCE,
        "bytes",
        "DAY_RATIO of what the slope says a day brings",
        passed="It is {measured} above its level at the same time yesterday; {threshold} is asked for.",
        failed="It is {measured} beside its level at the same time yesterday; {threshold} more is asked for.",
        wanted="it is {threshold} above its level at the same time yesterday; now {measured}",
        purpose="What rises every morning and falls every night is a day, not a leak.",
        short="no higher than at the same time yesterday",
    ),
    Rule(
        "above_past_plateau",
        Stage.LEVEL,
        "bytes",
        "PLATEAU_MARGIN x the level",
        passed="At {measured} it is above where earlier lives of this service settled ({threshold} with a margin).",
        failed="At {measured} it is below where earlier lives of this service settled ({threshold} with a margin).",
        wanted="its level rises above {threshold}; now {measured}",
        purpose="A service that was restarted warms up to where it has been before.",
        short="below the level this service has settled at before",
    ),
    Rule(
        "older_than_past_warmup",
        Stage.LEVEL,
        "s",
        "PLATEAU_AGE x the time",
        passed=(
            "It is {measured} old, older than earlier lives of this service took to settle ({threshold} with a margin)."
        ),
        failed="It is {measured} old; earlier lives of this service took up to {threshold} to settle, with a margin.",
        wanted="it is {threshold} old; now {measured}",
        purpose="A service that was restarted needs the time it has needed before.",
        short="younger than this service takes to settle",
        by_time=True,
    ),
    Rule(
        "beyond_last_release",
        Stage.LEVEL,
        "bytes",
        "RELEASE_MORE of the fall above the peak",
        passed="At {measured} it is beyond where it was before it last went down ({threshold}).",
        failed="At {measured} it is not beyond where it was before it last went down ({threshold}).",
        wanted="its level rises above {threshold}; now {measured}",
        purpose="What went down before may do so again at the same height.",
        short="went down before and is not beyond that peak yet",
    ),
    Rule(
        "near_highest_level",
        Stage.LEVEL,
        "bytes",
        "BELOW_RECORD of the range below it",
        passed="At {measured} it is near its highest level ever ({threshold} or more counts as near).",
        failed="At {measured} it is below its highest level ({threshold} or more counts as near).",
        wanted="its level is {threshold} or more; now {measured}",
        purpose="Only what stands on new ground can be a leak that goes on.",
        short="below its highest level",
    ),
    Rule(
        "no_longer_pause",
        Stage.LEVEL,
        "s",
        "STALL_BLOCKS, STALL_HOURS, or the longest pause",
        passed="Its last new high is {measured} old; pauses of up to {threshold} are usual.",
        failed=(
            "Its last new high is {measured} old, and {threshold} is as long as it may pause: it has stopped for now."
        ),
        wanted="it reaches a new high within {threshold} of the last; now {measured}",
        purpose="A suspicion needs growth that is going on now.",
        short="pauses for longer than ever before",
    ),
    Rule(
        "straight_or_a_day",
        Stage.LEVEL,
        "s",
        "YOUNG_HOURS, of counts",
        passed="It has been watched for {measured}; {threshold} is asked for of what does not grow straight.",
        failed="It has been watched for {measured}; {threshold} is asked for, as it does not grow straight.",
        wanted="it grows straight, or is watched for {threshold}; so far {measured}",
        purpose=(
            "What is opened for every client rises every morning; what is never closed rises without ups and downs."
        ),
        short="grows, but not straight: it may follow its load, which a day will tell",
        by_time=True,
    ),
    Rule(
        "fresh_data",
        Stage.CONFIRMATION,
        "s",
        "CONFIRM_RATIO of the window, CONFIRM_HOURS at most; WAIVED_HOURS",
        passed="Data of {measured} came after the first suspicion; {threshold} were awaited.",
        failed="Data of {measured} have come since the first suspicion; {threshold} are awaited.",
        wanted="{threshold} of data have come since the first suspicion; so far {measured}",
        purpose="A forecast made before these data came cannot have been fitted to them.",
        short="looks like a leak; data that come now will decide",
    ),
    Rule(
        "checkpoints_agree",
        Stage.CONFIRMATION,
        "ratio",
        "CONFIRM_CHECKPOINTS until YOUNG_HOURS",
        passed="{measured} of the looks since the first suspicion saw the growth, too; {threshold} is asked for.",
        failed="Only {measured} of the looks since the first suspicion saw the growth, too; {threshold} is asked for.",
        wanted="{threshold} of the looks see the growth; so far {measured}",
        purpose="What is seen now and then only is noise more often than not.",
        short="looks like a leak now and then; data that come now will decide",
        style=Style.SHARE,
    ),
    Rule(
        "follows_forecast",
        Stage.CONFIRMATION,
        "ratio",
        "CONFIRM_FOLLOW",
        passed="The data that came since rose by {measured} of what was forecast; {threshold} is asked for.",
        failed=(
            "The data that came since rose by only {measured} of what was forecast ({threshold} is asked for): "
            "the suspicion was dropped."
        ),
        wanted="new data rise by {threshold} of what is forecast; the last did by {measured}",
        purpose="A bounded growth ends, and its forecast fails; a leak's comes true.",
        short="fresh data did not follow the forecast",
        style=Style.SHARE,
    ),
    Rule(
        "outlasts_confirmation",
        Stage.CONFIRMATION,
        "s",
        "the time confirmation still takes",
        passed="At this rate memory lasts for {measured}, longer than confirmation takes ({threshold}).",
        failed="At this rate memory lasts for only {measured}; confirmation would take {threshold} more and is waived.",
        wanted="memory lasts for {threshold}; now {measured}",
        purpose="An alarm that comes after the crash helps nobody.",
    ),
    Rule(
        "fresh_samples",
        Stage.CONFIRMATION,
        "",
        "CONFIRM_SHARE of the window, of slow series",
        passed="{measured} samples have come since the first suspicion; {threshold} were awaited.",
        failed="{measured} samples have come since the first suspicion; {threshold} are awaited.",
        wanted="{threshold} samples have come since the first suspicion; so far {measured}",
        purpose="A forecast made before these samples came cannot have been fitted to them.",
    ),
    Rule(
        "confirmed_by_fresh_data",
        Stage.CONFIRMED,
        "",
        "",
        passed="Confirmed: data that came after the first suspicion went on as forecast.",
        failed="Not confirmed by fresh data.",
        wanted="data that come after a suspicion go on as forecast",
        purpose="Growth that looks like a leak is one only if it goes on.",
        short="a straight rise over {window}, and data that came after the first suspicion went on as forecast",
    ),
    Rule(
        "confirmed_by_past_lives",
        Stage.CONFIRMED,
        "",
        "",
        passed="Confirmed: earlier lives of this service grew at the same rate.",
        failed="Not confirmed by past lives.",
        wanted="it grows at the rate earlier lives of this service had",
        purpose="What leaked before a restart and grows at the same rate after it need not be proved anew.",
        short="grows over {window} as earlier runs of this service did",
    ),
    Rule(
        "confirmed_by_reopened",
        Stage.CONFIRMED,
        "",
        "",
        passed="Confirmed: growth that was called a leak before goes on after a pause, on new ground.",
        failed="Not the same growth as before its pause.",
        wanted="it goes on growing where it paused",
        purpose="A leak that rests at night is the same leak in the morning.",
        short="goes on growing over {window} after a pause",
    ),
    Rule(
        "confirmed_by_exhaustion",
        Stage.CONFIRMED,
        "",
        "",
        passed="Called a leak without waiting for confirmation: memory would have run out first.",
        failed="Memory would not run out before it can be confirmed.",
        wanted="memory would run out before it can be confirmed",
        purpose="An alarm that comes after the crash helps nobody.",
        short="a rise over {window}; memory would run out before it could be confirmed",
    ),
)
# fmt: on
"""Every rule, in the order of its stage."""
RULES = {rule.id: rule for rule in CATALOG}
_OTHER = Rule("", Stage.DATA, "", "", "", "", "", "")


def rule(id_: str) -> Rule:
    """Return the row of an id; one without words for a rule of another version."""
    return RULES.get(id_, _OTHER)


def confirmed_by(what: str) -> str:
    """Return the id of the rule that an alarm raised by ``fresh_data`` or another cause tells."""
    return f"confirmed_by_{what}"
