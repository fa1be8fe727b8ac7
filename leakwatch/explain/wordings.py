"""Every criterion of the detector in words: what was found, what it would take, what it is for. See ``sentences``.

In the templates ``{measured}`` and ``{threshold}`` are written by the style, ``{window}`` is the window's length.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum


class Style(Enum):
    """How the two numbers are written."""

    UNIT = "unit"
    """As the criterion's unit has it."""
    SHARE = "share"
    """A ratio, in percent."""
    TIMES = "times"
    """A ratio, as a multiple."""
    DISTANCE = "distance"
    """A ratio to what differs from test to test: a plain number, 0 where there is none."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One criterion in words."""

    passed: str
    failed: str
    wanted: str
    """What would have to be for it to pass, as a clause."""
    purpose: str
    style: Style = Style.UNIT


SENTENCES: dict[str, Sentence] = {
    "growth is significant": Sentence(
        "The growth within {window} stands out of chance: its z is {measured}, {threshold} or more is asked for.",
        "The growth within {window} does not stand out of chance: its z is {measured}, {threshold} is asked for.",
        "the growth stands out of chance by a z of {threshold}; now {measured}",
        "A wandering level has a slope at any time; only one many standard errors from flat is growth.",
    ),
    "rate is worth waking for": Sentence(
        "It grows at {measured}; {threshold} is worth waking for.",
        "It grows at {measured}, slower than the {threshold} worth waking for.",
        "it grows at {threshold} or faster; now {measured}",
        "[thresholds] min_rate: what is too slow for anybody to act on.",
    ),
    "growth in the window": Sentence(
        "It grew by {measured} within {window}; {threshold} is enough to matter.",
        "It grew by {measured} within {window}, less than the {threshold} that matter.",
        "it grows by {threshold} within a window; now {measured}",
        "[thresholds] min_growth: what allocators take and leave in normal work.",
    ),
    "growth relative to the level": Sentence(
        "That is {measured} of its level; {threshold} is enough to matter.",
        "That is {measured} of its level, less than the {threshold} that matter.",
        "the growth is {threshold} of its level; now {measured}",
        "[thresholds] min_growth_ratio: a large program breathes more than a small one.",
        Style.SHARE,
    ),
    "growth against noise": Sentence(
        "The growth is {measured} its own ups and downs; {threshold} is asked for.",
        "The growth is only {measured} its own ups and downs; {threshold} is asked for.",
        "the growth is {threshold} its own ups and downs; now {measured}",
        "What rises by no more than it goes up and down anyway may fall again. [thresholds] sensitivity moves it.",
        Style.TIMES,
    ),
    "newer half as steep": Sentence(
        "The newer half of the window rises at {measured} of the older half's rate; {threshold} is asked for.",
        "The newer half of the window rises at only {measured} of the older half's rate ({threshold} is asked for): "
        "it is slowing down.",
        "the newer half rises at {threshold} of the older half's rate; now {measured}",
        "A warm-up or a cache that fills slows down; a leak does not. What noise may hide is allowed for.",
        Style.SHARE,
    ),
    "newest third as steep": Sentence(
        "Its newest third rises at {measured} of the middle third's rate; {threshold} is asked for.",
        "Its newest third rises at only {measured} of the middle third's rate ({threshold} is asked for): it is "
        "slowing down.",
        "the newest third rises at {threshold} of the middle third's rate; now {measured}",
        "The crest of a daily rise and the end of a warm-up are seen here first. What noise may hide is allowed for.",
        Style.SHARE,
    ),
    "still rising": Sentence(
        "At the window's end it still rises, at {measured} of its average rate; {threshold} is asked for.",
        "At the window's end it rises at only {measured} of its average rate ({threshold} is asked for): it has "
        "stopped, or nearly.",
        "it rises at the window's end at {threshold} of its average rate; now {measured}",
        "What has stopped growing is no longer a reason to act.",
        Style.SHARE,
    ),
    "as fast as before the window": Sentence(
        "It grows at {measured} of the rate it had before the window; {threshold} is asked for.",
        "It grows at only {measured} of the rate it had before the window ({threshold} is asked for): it may be "
        "levelling off.",
        "it keeps {threshold} of the rate it had before the window; now {measured}",
        "The end of a long curve looks straight; beside what came before it does not.",
        Style.SHARE,
    ),
    "rises now": Sentence(
        "It rises now as well, by {measured} of what it usually does from look to look; {threshold} is asked for.",
        "It has risen by only {measured} of the usual since the last look ({threshold} is asked for): it has just "
        "stopped.",
        "it rises by {threshold} of the usual from one look to the next; now {measured}",
        "Growth this even shows at the next look when it ends: a fill that is done.",
        Style.SHARE,
    ),
    "rises into the newest block": Sentence(
        "It rises into the newest block, by {measured} of an average one; {threshold} is asked for.",
        "Into the newest block it rises by only {measured} of an average one ({threshold} is asked for): it has just "
        "stopped.",
        "the newest block rises by {threshold} of an average one; now {measured}",
        "Growth this straight shows at once when it ends: a fill that is done.",
        Style.SHARE,
    ),
    "as fast as the life's mean": Sentence(
        "It grows at {measured} of the mean rate of its life; {threshold} is asked for.",
        "It grows at only {measured} of the mean rate of its life ({threshold} is asked for): most of it came earlier.",
        "it grows at {threshold} of the mean rate of its life; now {measured}",
        "Creeping after a start is not what the start was.",
        Style.SHARE,
    ),
    "not one step": Sentence(
        "The largest single rise makes up {measured} of the growth; up to {threshold} is no step.",
        "One single rise makes up {measured} of the growth, more than {threshold}: a step, which need not come again.",
        "no single rise makes up more than {threshold} of the growth; now {measured}",
        "A table that is resized or a file that is loaded is one step, not a leak.",
        Style.SHARE,
    ),
    "separate rises": Sentence(
        "It came in {measured} separate rises; {threshold} are asked for.",
        "It came in only {measured} separate rises; {threshold} are asked for.",
        "it rises {threshold} separate times within a window; now {measured}",
        "Few steps may be the last ones; what leaks with every request rises all the time.",
    ),
    "new ground": Sentence(
        "It is {measured} above the highest level known before the window: new ground.",
        "Its level was known before the window ({measured} beside the highest until then): no new ground.",
        "its lowest level rises above the highest known before the window; now {measured} beside it",
        "The tooth of a slow saw rises like a leak, but only to where the last one was.",
    ),
    "not coming down": Sentence(
        "It stands at or near the window's highest level (distance {measured}, {threshold} allowed).",
        "It has come down from the window's highest level (distance {measured}, {threshold} allowed).",
        "it is back near the window's highest level (distance {threshold}; now {measured})",
        "What was given back was not leaked.",
        Style.DISTANCE,
    ),
    "more than it has moved before": Sentence(
        "The growth, {measured}, is more than its earlier movements explain ({threshold}).",
        "The growth, {measured}, is within what its earlier movements explain ({threshold}).",
        "it grows by more than {threshold}; now {measured}",
        "Creeping by a small part of what a step once took is no leak yet.",
    ),
    "has gone on for long enough": Sentence(
        "It has gone on for {measured}; {threshold} is asked for.",
        "It has been seen to go on for {measured}; {threshold} is asked for to tell it from a cycle or a warm-up.",
        "it goes on for {threshold}; so far {measured}",
        "Straight growth needs the least time, visibly curved growth more, the shape of a morning's rise most.",
    ),
    "above the same time yesterday": Sentence(
        "It is {measured} above its level at the same time yesterday; {threshold} is asked for.",
        "It is {measured} beside its level at the same time yesterday; {threshold} more is asked for.",
        "it is {threshold} above its level at the same time yesterday; now {measured}",
        "What rises every morning and falls every night is a day, not a leak.",
    ),
    "above the level past lives settled at": Sentence(
        "At {measured} it is above where earlier lives of this service settled ({threshold} with a margin).",
        "At {measured} it is below where earlier lives of this service settled ({threshold} with a margin).",
        "its level rises above {threshold}; now {measured}",
        "A service that was restarted warms up to where it has been before.",
    ),
    "older than past lives took to settle": Sentence(
        "It is {measured} old, older than earlier lives of this service took to settle ({threshold} with a margin).",
        "It is {measured} old; earlier lives of this service took up to {threshold} to settle, with a margin.",
        "it is {threshold} old; now {measured}",
        "A service that was restarted needs the time it has needed before.",
    ),
    "beyond the peak before the last release": Sentence(
        "At {measured} it is beyond where it was before it last gave memory back ({threshold}).",
        "At {measured} it is not beyond where it was before it last gave memory back ({threshold}).",
        "its level rises above {threshold}; now {measured}",
        "What gave memory back before may do so again at the same height.",
    ),
    "near its highest level": Sentence(
        "At {measured} it is near its highest level ever ({threshold} or more counts as near).",
        "At {measured} it is below its highest level ({threshold} or more counts as near).",
        "its level is {threshold} or more; now {measured}",
        "Only what stands on new ground can be a leak that goes on.",
    ),
    "no longer pause than before": Sentence(
        "Its last new high is {measured} old; pauses of up to {threshold} are usual.",
        "Its last new high is {measured} old, and {threshold} is as long as it may pause: it has stopped for now.",
        "it reaches a new high within {threshold} of the last; now {measured}",
        "A suspicion needs growth that is going on now.",
    ),
    "a day of what is not straight": Sentence(
        "It has been watched for {measured}; {threshold} is asked for of what does not grow straight.",
        "It has been watched for {measured}; {threshold} is asked for, as it does not grow straight.",
        "it grows straight, or is watched for {threshold}; so far {measured}",
        "What is opened for every client rises every morning; what is never closed rises without ups and downs.",
    ),
    "fresh data": Sentence(
        "Data of {measured} came after the first suspicion; {threshold} were awaited.",
        "Data of {measured} have come since the first suspicion; {threshold} are awaited.",
        "{threshold} of data have come since the first suspicion; so far {measured}",
        "A forecast made before these data came cannot have been fitted to them.",
    ),
    "looks that see it": Sentence(
        "{measured} of the looks since the first suspicion saw the growth, too; {threshold} is asked for.",
        "Only {measured} of the looks since the first suspicion saw the growth, too; {threshold} is asked for.",
        "{threshold} of the looks see the growth; so far {measured}",
        "What is seen now and then only is noise more often than not.",
        Style.SHARE,
    ),
    "fresh data follow the line": Sentence(
        "The data that came since rose by {measured} of what was forecast; {threshold} is asked for.",
        "The data that came since rose by only {measured} of what was forecast ({threshold} is asked for): the "
        "suspicion was dropped.",
        "new data rise by {threshold} of what is forecast; the last did by {measured}",
        "A bounded growth ends, and its forecast fails; a leak's comes true.",
        Style.SHARE,
    ),
    "memory lasts until confirmed": Sentence(
        "At this rate memory lasts for {measured}, longer than confirmation takes ({threshold}).",
        "At this rate memory lasts for only {measured}; confirmation would take {threshold} more and is waived.",
        "memory lasts for {threshold}; now {measured}",
        "An alarm that comes after the crash helps nobody.",
    ),
    "confirmed by fresh data": Sentence(
        "Confirmed: data that came after the first suspicion went on as forecast.",
        "Not confirmed by fresh data.",
        "data that come after a suspicion go on as forecast",
        "Growth that looks like a leak is one only if it goes on.",
    ),
    "confirmed by past lives": Sentence(
        "Confirmed: earlier lives of this service grew at the same rate.",
        "Not confirmed by past lives.",
        "it grows at the rate earlier lives of this service had",
        "What leaked before a restart and grows at the same rate after it need not be proved anew.",
    ),
    "confirmed by reopened": Sentence(
        "Confirmed: growth that was called a leak before goes on after a pause, on new ground.",
        "Not the same growth as before its pause.",
        "it goes on growing where it paused",
        "A leak that rests at night is the same leak in the morning.",
    ),
    "confirmed by exhaustion": Sentence(
        "Called a leak without waiting for confirmation: memory would have run out first.",
        "Memory would not run out before it can be confirmed.",
        "memory would run out before it can be confirmed",
        "An alarm that comes after the crash helps nobody.",
    ),
    "data in the shortest window": Sentence(
        "There are {measured} of data; a first verdict takes {threshold}.",
        "There are {measured} of data; a first verdict takes {threshold}.",
        "there are {threshold} of data; so far {measured}",
        "From less nothing can be said.",
    ),
    "fresh samples": Sentence(
        "{measured} samples have come since the first suspicion; {threshold} were awaited.",
        "{measured} samples have come since the first suspicion; {threshold} are awaited.",
        "{threshold} samples have come since the first suspicion; so far {measured}",
        "A forecast made before these samples came cannot have been fitted to them.",
    ),
    "samples in this life": Sentence(
        "There are {measured} samples since it last began anew; a first verdict takes {threshold}.",
        "There are {measured} samples since it last began anew; a first verdict takes {threshold}.",
        "there are {threshold} samples since it last began anew; so far {measured}",
        "From fewer nothing can be said.",
    ),
}


OF_COUNTS: dict[str, Sentence] = {
    "rate is worth waking for": replace(
        SENTENCES["rate is worth waking for"],
        purpose="[thresholds] min_count_rate: what is too slow for anybody to act on.",
    ),
    "growth in the window": replace(
        SENTENCES["growth in the window"],
        purpose="[thresholds] min_count_growth: what comes and goes in normal work.",
    ),
    "beyond the peak before the last release": Sentence(
        "At {measured} it is beyond where it was before it last went down ({threshold}).",
        "At {measured} it is not beyond where it was before it last went down ({threshold}).",
        "its level rises above {threshold}; now {measured}",
        "What went down before may do so again at the same height.",
    ),
}
"""Where a count takes other words than memory does."""
