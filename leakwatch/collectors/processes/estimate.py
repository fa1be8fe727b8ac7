"""What a process's memory must be by now, judging from its cheap counters, and by how much that can be wrong. Pure.

A full read (``smaps_rollup``) is the basis; ``statm`` tells what has happened since. Measured on 6.18: resident minus
shared follows private anonymous memory to the page, through growth, munmap, MADV_DONTNEED and huge pages. What it does
not tell is here as a possible error, term by term; docs/sampling.md says the same in words.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from leakwatch.procfs.pid.smaps import MemoryUse

VERIFIED_PART = 64
"""One part in this many of what an estimate has moved counts as possible error: what grew by 8 MiB is read anew at the
default tolerance, so that no long climb is made of estimates alone."""
GAP_TIMES = 2
"""The largest gap seen between ``statm`` and the rollup's Rss counts this often: counters are kept per CPU and added up
now and then (from Linux 6.2 on), or per thread before that. So no table of kernel versions is needed."""
GAP_KEPT = 0.75
"""What is left of an old gap at each full read that sees a smaller one."""
FAULTS_TO_LEARN = 16
"""Copying faults from which what became of them is learnt: fewer are drowned by other faults."""
OWN_UNSURE_LEAST, SIBLINGS_UNSURE_LEAST = 1 / 8, 1 / 16
"""Parts of the forecast for shared pages that stay doubtful however well it has been met so far."""
FEWEST_SHARERS, MOST_SHARERS = 2.0, 1024.0


@dataclass(frozen=True, slots=True)
class CowModel:
    """What became of copy-on-write faults of one process, learnt at its full reads."""

    own: float = 0.0
    """USS gained a fault of its own: 1 where each copies a shared page, 0 where each is an allocation freed again."""
    own_unsure: float = 1.0
    siblings_unsure: float = 1.0
    """Share of its relatives' faults that may have left a page to this process alone, which it cannot see."""


NO_HABIT = CowModel()


@dataclass(frozen=True, slots=True)
class FullRead:
    """A full read and what its neighbours in time said; sizes in pages where not named otherwise."""

    use: MemoryUse
    cow: int
    """Anonymous pages shared with relatives after a fork."""
    sharers: float
    """How many processes share each of them, on average; at least 2."""


@dataclass(slots=True)
class Since:
    """What the cheap counters did since the last full read, in pages."""

    anonymous: int = 0
    """Net change of resident minus shared."""
    resident: int = 0
    """Net change."""
    shared_moves: int = 0
    """Moves of ``shared``, all of them added up: pages of files or shared memory, of which nobody knows whose."""
    own_faults: int = 0
    """Minor faults beyond those that added a page."""
    siblings_faults: int = 0
    """The same of its copy-on-write relatives."""
    swap_bytes: int = 0
    """Net change of VmSwap."""
    upset: int = 0
    """Pages of which anything may have become: an exec, a relative that was born or has ended."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Values in bytes; ``pss`` and ``swap`` are None where nothing is known to start from."""

    uss: int
    rss: int
    pss: int | None
    swap: int | None


def full_read(use: MemoryUse, page: int) -> FullRead:
    """Return the read with what it tells of pages shared after a fork.

    Anonymous - Pss_Anon is the sum over shared pages of 1 - 1/k for k sharers; so with k >= 2 there are at most twice
    as many shared pages, and at least as many as Anonymous exceeds what this process has alone. Kernels before 5.3 do
    not print Pss_Anon: there only the latter is known, and the fewest sharers are assumed.
    """
    anonymous, divided = use.anonymous_bytes, use.pss_anon_bytes
    if anonymous is None:
        return FullRead(use, 0, FEWEST_SHARERS)
    if divided is None:
        return FullRead(use, max(0, anonymous - use.uss_bytes) // page, FEWEST_SHARERS)
    lost = max(0, anonymous - divided)
    shared = min(anonymous, 2 * lost, max(lost, anonymous - use.uss_bytes))
    sharers = shared / (shared - lost) if shared > lost else MOST_SHARERS if lost else FEWEST_SHARERS
    return FullRead(use, shared // page, min(max(sharers, FEWEST_SHARERS), MOST_SHARERS))


def estimated(full: FullRead, since: Since, habit: CowModel, page: int) -> Estimate:
    """Return what the process must hold by now."""
    copied = min(full.cow, round(habit.own * since.own_faults)) if full.cow else 0
    use, gained = full.use, since.anonymous * page
    rss = max(0, use.rss_bytes + since.resident * page)
    uss = max(0, use.uss_bytes + gained + copied * page)
    pss = max(0, use.pss_bytes + gained + round(copied * page * (1 - 1 / full.sharers)))
    swap = None if use.swap_bytes is None else max(0, use.swap_bytes + since.swap_bytes)
    return Estimate(uss, rss, pss, swap)


def possible_error(full: FullRead, since: Since, habit: CowModel, gap: float) -> int:
    """Return by how many pages the estimate of USS can be wrong; ``gap`` is the learnt one, in pages."""
    pages = since.shared_moves + since.upset + GAP_TIMES * gap + abs(since.anonymous) / VERIFIED_PART
    if full.cow:
        # A page shared by k becomes mine alone only when the k - 1 others have each copied or left it.
        siblings = habit.siblings_unsure * since.siblings_faults / (full.sharers - 1)
        freed = max(0, -since.anonymous)  # of pages shared or not
        pages += min(full.cow, habit.own_unsure * since.own_faults + siblings + freed)
    return int(pages)


def learnt(habit: CowModel, before: FullRead, since: Since, now: MemoryUse, page: int) -> CowModel:
    """Return the habit with what a new full read says of the faults since the one ``before``."""
    if not before.cow:
        return habit
    gained = (now.uss_bytes - before.use.uss_bytes) / page - since.anonymous
    if since.own_faults >= FAULTS_TO_LEARN:
        own = min(max(gained / since.own_faults, 0.0), 1.0)
        habit = replace(habit, own=own, own_unsure=max(OWN_UNSURE_LEAST, abs(own - habit.own)))
    forecast = since.siblings_faults / (before.sharers - 1)
    if forecast >= FAULTS_TO_LEARN:
        left = 2 * abs(gained - habit.own * since.own_faults) / forecast
        habit = replace(habit, siblings_unsure=min(max(left, SIBLINGS_UNSURE_LEAST), 1.0))
    return habit


def learnt_gap(gap: float, rss_pages: int, *resident: int) -> float:
    """Return the gap in pages after a full read between two looks at ``statm``, of which the nearer one counts."""
    return max(gap * GAP_KEPT, min(abs(rss_pages - pages) for pages in resident))
