"""Every threshold of the detector: its name, its unit, its reason, and what was measured when it was chosen.

"hour" means a rule hour of ``time_plan``: an hour with the default windows. "FA" are false alarms per 1000 series-hours
on four seeds of the synthetic families (19,000 healthy hours) beside the values tried; more is in docs/detector.md.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LeakCriteria:
    """What growth must show to be called a leak. The first four come from the configuration."""

    min_rate_bytes_per_hour: float = 64 * 1024
    """The smallest rate worth waking for: 1.5 MiB a day."""
    min_growth_bytes: float = 1 << 20
    """Growth inside one window below this is allocator noise."""
    min_growth_ratio: float = 0.02
    """Growth relative to the level, in windows of twelve hours or more. 0.01: one healthy warm-up more in 360 series;
    0.03: recall falls from 0.97 to 0.90, the leaks lost being those of half a percent a day."""
    sensitivity: float = 1.0
    """Multiplies what growth must be relative to noise; below 1 more is called growth, above 1 less."""
    straight_while_young: bool = False
    """Whether growth must be clearly straight until a day and a quarter was seen; of counts, see ``COUNT_RATIO``."""


# --- is it growth? --------------------------------------------------------------------------------------------
MIN_Z = 3.8
"""Slope over its standard error, deflated for the autocorrelation of the line's residuals."""
MIN_GROWTH_RATIO_SHORT = 0.03
"""Growth relative to the level in windows below twelve hours: a morning moves any process by a percent."""
LONG_HOURS = 12.0
"""What "twelve hours" above means."""
MIN_NOISE_RATIO = 6.0
"""Growth over the noise of the blocks (the larger of the residuals' and the differences' median deviation)."""
MIN_NOISE_RATIO_LONG = 3.0
MIN_Z_LONG = 5.0
"""A long window may have a smaller growth in noise when the slope is the surer."""

# --- does it go on? -------------------------------------------------------------------------------------------
MIN_LATE_RATIO = 0.5
"""Slope of the newer half over the older half's: a curve that saturates with half the window has 0.37."""
MIN_THIRD_RATIO = 0.4
MIN_THIRD_RATIO_YOUNG = 0.65
"""Rise into the newest third over the rise into the middle one; the crest of a daily rise has 0.5. FA 0.5 higher
with 0.4 for the young; 0.6: one more of 156 healthy recordings ever alarmed, one leak of 72 more found."""
MIN_TAIL_RATIO = 0.4
"""Rise over the newest three blocks over what the line rises in them."""
MIN_LAST_RATIO = 0.85
"""Rise into the newest block, asked of clearly straight growth: a fill that has just stopped is seen at once."""
MIN_NEWEST_RATIO = 0.5
"""Rise since the look before, asked of clearly straight growth that usually rises from look to look: a job that
leaks once an hour does not."""
MIN_PREVIOUS_RATIO = 0.5
"""Rate over that of the preceding stretch of the same length: an exponential approach fails it from a window of
0.7 time constants on."""
MIN_PRIOR_RATIO = 0.3
"""Growth over the range known before the window, without the first two hours of life: creeping by a tenth of what
a step once took is no leak yet. 0: one more false leak in 194 healthy recordings of real programs."""
SLACK = 1.0
"""Standard errors by which noise may make a ratio look smaller than it is."""
HALVES_ERROR = 0.24 * 11 * 1.12
"""Standard error of the newer half's slope less half the older one's (``MIN_LATE_RATIO``), over eleven blocks, in
noise of a block: 0.24 of a line through six blocks (1 / sqrt 17.5), and 1.12 for the two (sqrt 1.25)."""
THIRDS_ERROR = 0.7
"""Standard error of the rise from one third to the next, in noise of a block: of two means of four blocks."""

# --- what shape has it? ---------------------------------------------------------------------------------------
MAX_STEP_SHARE = 0.55
"""Largest single rise of the trough envelope over all rises."""
MIN_RISES = 5
"""Separate rises of at least a tenth of the largest. 4: FA 0.1 higher; 6: a sixth of the slow noisy leaks lost."""
MAX_BELOW_TOP = 1.0
"""How far below the window's highest trough the newest may lie, in noise."""
STRONG_NOISE_RATIO = 40.0
STRONG_GROWTH_RATIO = 0.05
STRONG_RESIDUAL = 0.03
"""Clearly straight: 40 times the noise, 5 % of the level, residuals within 3 % of the growth. Then, and only then,
curvature could not hide in the noise."""
CURVED_NOISE = 1.5
CURVED_GROWTH = 0.008
"""Visibly curved: residuals beyond 1.5 times what the second differences say is noise, and 0.8 % of the growth
(a daily rise over six hours leaves 0.9 %, over eight 1.7 %)."""
S_SHAPED = 0.002
"""Cubic part, relative to the growth, from which a curve is a slope between two flats: a daily rise."""
VETO_RATIO = 0.35
"""A longer window, up to four times, in which the newest third rises less than this share of the middle one takes a
shorter window's word back: it sees the curve whose end looks straight."""
VETO_NOISE_RATIO = 10.0
"""Growth in noise from which a third's rise is known well enough to do that."""
VETO_BELOW_NOISE = 2.0
VETO_BELOW_GROWTH = 0.1
"""How far below the window's highest trough the level may be, together: a fall is no levelling off."""

# --- how long must it have gone on? ---------------------------------------------------------------------------
YOUNG_HOURS = 30.0
"""Until a life has seen a day and a quarter, a rise may be the morning's: the patience below applies."""
STRONG_HOURS = 5.0
PLAIN_HOURS = 6.0
"""FA 0.37 and a median delay of 8.6 h; 7: 0.37 and 9.4 h; 8: 0.35 and 10.2 h."""
BENT_HOURS = 10.0
"""For visible curvature that is no S: sub-linear and accelerating leaks."""
CURVED_HOURS = 16.0
"""For an S: longer than any half of a day rises. 12: FA 0.2 higher."""
LARGE_GROWTH = 0.4
LARGE_HOURS = 12.0
"""For an S by 40 % of the level: few days swing so far, and leaks under waves of load look like it. Recall of leaks
in real programs from 0.86 to 0.90, FA 0.02 higher; 0.3: FA 0.08 higher; 0.5: one leak in 72 fewer found."""
GROWN_HOURS = 6.0
"""For whoever has a day behind him."""
DAY_RATIO = 0.3
"""The level now over the level at the same time yesterday, as a share of what the slope says a day brings."""
MEMORY_HOURS = 3.0
"""For the slope that past lives of the same service had."""
MEMORY_NOISE_RATIO = 8.0
"""Growth in noise it takes: more than ``MIN_NOISE_RATIO``, as it waits for less time."""
MEMORY_LOW = 0.4
MEMORY_HIGH = 2.5
"""Range within which a slope is the same as the past lives'."""

# --- fresh data -----------------------------------------------------------------------------------------------
CONFIRM_RATIO = 0.26
"""Data not yet seen, as a share of the window that raised the suspicion. As looks are a quarter of an hour apart, a
window of 5 h waits for 1.5 h. 0.15: FA 0.2 higher; 0.25: 0.06 higher, 0.25 h sooner; 0.33: 0.8 h later."""
CONFIRM_HOURS = 3.0
"""At most this long: a window of two days need not wait for twelve hours."""
WAIVE_HOURS = 12.0
WAIVE_GROWTH = 0.75
WAIVED_HOURS = 0.5
"""A window of half a day that grew by three quarters of its level waits for half an hour only: there is more to
lose. 0.5: FA 0.02 higher; never: one leak in 72 fewer found in real programs that run for 17 h."""
CONFIRM_FOLLOW = 0.4
"""Share of the frozen line's rise that the fresh data must reach."""
CONFIRM_CHECKPOINTS = 0.4
"""Share of the looks since the suspicion that must see the growth too, while young."""
FORGET_RATIO = 0.5
"""A suspicion not seen again for this share of its window is dropped."""

# --- pauses, releases, the end --------------------------------------------------------------------------------
RECORD_RATIO = 0.02
"""A new high counts from this share of the rise since the lowest level."""
STALL_HOURS = 1.0
STALL_BLOCKS = 1.0
"""A suspicion may pause for one block of its window, at most an hour, or as long as the climb has paused before."""
RELEASE_RATIO = 0.4
"""A fall by this share of all that was gained is a release: a cache trimmed, a batch done."""
RELEASE_AGAIN = 0.5
"""Once there was a release, a fall half as deep as the last is another: a sawtooth has teeth of one size."""
RELEASE_MORE = 0.5
"""After one or two releases new ground begins this share of the fall above the old peak; after three it is a
sawtooth, whose troughs tell."""
BELOW_RECORD = 0.25
"""No suspicion while the level is this share of the range below its record."""
GONE_RATIO = 0.25
"""Less than this share of the growth left: the memory was given back, the leak is over."""
OVER_PAUSE = 1.5
OVER_SHARE = 0.25
OVER_HOURS = 2.0
"""The growth has stopped: no new high for 1.5 times the longest earlier pause, a quarter of the climb and 2 h. A
pause counts as long as the climb at most: flat days before it would keep what fills in one alarmed for a week."""
LEVELLING_RATIO = 0.3
"""Newest third of the climb over the middle third: the climb was a saturating one."""
REOPEN_HOURS = 3.0
REOPEN_SPAN = 2.0
REOPEN_SHARE = 0.05
REOPEN_RATE = 0.4
"""Within twice the climb's length after its end, growth on new ground (5 % of the climb) in a window of 3 h, at 0.4
of its slope at least, is the same leak going on."""

# --- memory of past lives and siblings ------------------------------------------------------------------------
PLATEAU_MARGIN = 1.15
"""Below 1.15 times the level past lives settled at, growth is warm-up."""
PLATEAU_AGE = 1.5
"""Younger than 1.5 times the time past lives took to settle, it is too."""
ONE_LIFE_HOURS = 5.0
"""A past life that grew for this long tells by itself. 6: two restarted leaks in six lives found later."""
SHORT_LIVES = 3
"""Of shorter ones it takes three: recycled workers warm up at the same slope every time."""
JUDGED_LIVES = 2
"""Of such that lived for ``memory_hours`` at least, so that a window of theirs could be judged, two: with the one
at hand three in a row have grown at one slope."""
LIVES_KEPT = 5


COUNT_RATIO = 0.05
"""What a count must grow by relative to its level, at least: a thousand clients that come and go on their own are more
or fewer by their square root, three percent, at any time, and by twice that now and then. And as counts follow
load as nothing else does, they are judged with ``straight_while_young``: what is opened and not closed is counted
without noise, what clients open is not. Without it 16 of 72 synthetic servers whose clients swing with the day were
called leaks, nearly all on their first day; docs/detector.md has more."""

Z95 = 1.959964
"""Two-sided 95 % quantile of the normal distribution."""
