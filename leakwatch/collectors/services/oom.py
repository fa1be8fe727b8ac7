"""Whose processes the kernel killed for want of memory between two looks at the counts. No I/O.

A unit is most often gone and made anew after a kill, and the count of its group with it. What is left is the machine's
count and, in version 2, those of the groups around it, which count what happens below them: when they have risen by
more than what the groups that are still there account for, it was one of those that were made anew.
"""

from __future__ import annotations

from collections.abc import Mapping

from leakwatch.model.oom import GroupCount, OomCounts, OomKill


def kills_between(before: OomCounts, now: OomCounts) -> tuple[list[OomKill], int]:
    """Return the kills between two looks, and how many of them the machine's count has yet to show."""
    certain = {path: risen for path, count in now.own.items() if (risen := _risen(before.own.get(path), count)) > 0}
    found = [
        OomKill(risen, now.known[path].service, group=path, limit_bytes=now.known[path].limit_bytes)
        for path, risen in certain.items()
    ]
    if now.host is None or before.host is None:
        return found, 0
    rest = now.host - before.host - before.told - sum(certain.values())
    if rest > 0:
        found.append(_inferred(before, now, certain, rest))
    return found, max(0, -rest)


def _risen(before: GroupCount | None, now: GroupCount) -> int:
    """Return by how much a count rose; that of a group that was made since then began at 0."""
    return now.kills - before.kills if before is not None and before.inode == now.inode else now.kills


def _inferred(before: OomCounts, now: OomCounts, certain: Mapping[str, int], rest: int) -> OomKill:
    lost = {path: known for path, known in before.known.items() if not _is_still(path, before, now)}
    if now.around:
        lost = {path: known for path, known in lost.items() if _has_room(path, before, now, certain)}
    else:  # version 1 counts nothing around them: then rather those that had a limit to meet
        lost = {path: known for path, known in lost.items() if known.limit_bytes is not None} or lost
    if len({known.service for known in lost.values()}) == 1:
        path, known = next(iter(lost.items()))
        return OomKill(rest, known.service, certain=False, group=path, limit_bytes=known.limit_bytes)
    candidates = tuple(sorted({known.service.key for known in lost.values()}))
    return OomKill(rest, None, certain=False, group=_innermost_risen(before, now, certain), candidates=candidates)


def _innermost_risen(before: OomCounts, now: OomCounts, certain: Mapping[str, int]) -> str:
    """Return the innermost group around services that counted more than they account for, empty where none did."""
    risen = [path for path in now.around if path in before.around and _room(path, before, now, certain) > 0]
    return max(risen, key=lambda path: path.count("/"), default="")


def _is_still(path: str, before: OomCounts, now: OomCounts) -> bool:
    return path in now.own and path in before.own and now.own[path].inode == before.own[path].inode


def _has_room(path: str, before: OomCounts, now: OomCounts, certain: Mapping[str, int]) -> bool:
    """Tell whether the nearest group around it that is still there counted more than its known groups had."""
    parts = path.split("/")
    for length in reversed(range(2, len(parts))):
        above = "/".join(parts[:length])
        if above in before.around and above in now.around and before.around[above].inode == now.around[above].inode:
            return _room(above, before, now, certain) > 0
    return True  # the root alone is around it, and it does not count


def _room(above: str, before: OomCounts, now: OomCounts, certain: Mapping[str, int]) -> int:
    """Return how many kills a group counted that are none of those known below it."""
    below = sum(count for one, count in certain.items() if one.startswith(f"{above}/"))
    return _risen(before.around.get(above), now.around[above]) - below
