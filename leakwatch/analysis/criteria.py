"""Every threshold of the first detector: its name, its unit and its reason, in one frozen value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leakwatch.analysis.spans import Window


@dataclass(frozen=True, slots=True)
class LeakCriteria:
    """What growth must show to be called a leak. The first four come from the configuration."""

    min_rate_bytes_per_hour: float = 64 * 1024
    """The smallest rate worth waking for: 1.5 MiB a day."""
    min_growth_bytes: float = 1 << 20
    """Growth inside one window below this is allocator noise."""
    min_growth_ratio: float = 0.01
    """Growth relative to the level: 1 % within the window. Absolute AND relative, for users report both that a fixed
    size passed a real leak and that "grew 1.0 x" was reported as one."""

    min_fill: float = 0.5
    """A window counts once it is half full."""
    min_blocks: int = 6
    """Half of a window's twelve: below six, Sen's interval at 95 % covers any slope."""
    min_noise_ratio: float = 4.0
    """Growth in units of the residuals' median absolute deviation: the size a leak must have to be seen in noise."""
    min_late_ratio: float = 0.5
    """Slope of the newer half over the older half's. A saturating curve whose time constant is half the window has
    0.37, a straight line 1."""
    min_tail_ratio: float = 0.4
    """Rise in the newest third over a third of the whole rise: growth that has stopped is no leak."""
    stopped_ratio: float = 0.1
    """Below this the newest third is flat: the growth has ended, there is nothing to watch."""
    max_step_share: float = 0.55
    """Share of the largest single rise between troughs in all rises: above, it is a step."""
    min_rises: int = 4
    """Separate rises: fewer is a step or two."""
    min_new_ground: float = 0.5
    """Share of the window's growth that must lie above every trough seen before it: a tooth of a sawtooth, a daily rise
    or a refilled cache returns to known ground. Without it a reference detector alarmed 3 to 4.6 times as often."""
    max_retreat: float = 0.35
    """How far below the window's highest trough the newest may lie, as a share of the range: more, and it is coming
    down."""
    min_saturation_gain: float = 4.0
    """Difference of AICc by which a saturating curve must explain the blocks better than a line to be believed;
    4 is "considerably less support" (Burnham and Anderson 2002, p. 70)."""
    confirm_ratio: float = 0.3
    """Fresh data, as a share of the window, that must follow the frozen line before `leak` is said: a quarter to a
    third took away nine of ten false alarms on real machines at 5-8 % of the trace in delay."""
    confirm_follow: float = 0.5
    """Share of the frozen line's rise the fresh data must reach: the middle between the line and standing still."""

    def enough(self, blocks: int, window: Window) -> bool:
        """Return whether a window can be judged by this many blocks."""
        return blocks >= self.min_blocks and blocks * window.span_s >= self.min_fill * window.window_s


Z95 = 1.959964
"""Two-sided 95 % quantile of the normal distribution."""
