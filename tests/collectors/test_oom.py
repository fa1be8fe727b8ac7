"""Whose processes were OOM killed, from counts before and after."""

from __future__ import annotations

from leakwatch.collectors.services.cgroups import kills_between
from leakwatch.model.identity import Target, TargetKind
from leakwatch.model.sample import GroupCount, LimitedGroup, OomCounts, OomKill

SHOP, WEB = (Target(TargetKind.SERVICE, f"unit:{name}.service") for name in ("shop", "web"))
SHOP_AT, WEB_AT = "/system.slice/shop.service", "/system.slice/web.service"
SLICE = "/system.slice"
LIMIT = 64 << 20


def look(
    host: int | None,
    shop: tuple[int, int] | None = (1, 0),
    web: tuple[int, int] | None = (2, 0),
    around: int | None = None,
    told: int = 0,
) -> OomCounts:
    """Return a look; ``around`` is the slice's own count, as version 2 has it."""
    own, known = {}, {}
    for at, service, count, limit in ((SHOP_AT, SHOP, shop, LIMIT), (WEB_AT, WEB, web, None)):
        if count is not None:
            own[at], known[at] = GroupCount(*count), LimitedGroup(service, limit)
    return OomCounts(host, own, {} if around is None else {SLICE: GroupCount(9, around)}, known, told)


def test_a_count_that_rises_is_a_kill_of_that_service() -> None:
    kills, told = kills_between(look(5), look(7, shop=(1, 2)))
    assert kills == [OomKill(2, SHOP, group=SHOP_AT, limit_bytes=LIMIT)]
    assert told == 0


def test_nothing_rises_nothing_was_killed() -> None:
    assert kills_between(look(5, shop=(1, 3)), look(5, shop=(1, 3))) == ([], 0)


def test_a_group_made_anew_counts_from_nothing() -> None:
    # GIVEN a group with 3 kills, removed and made anew, in which 1 was killed since
    kills, _ = kills_between(look(5, shop=(1, 3)), look(6, shop=(7, 1)))
    assert kills == [OomKill(1, SHOP, group=SHOP_AT, limit_bytes=LIMIT)]


def test_version_2_a_restarted_unit_is_found_by_the_slice_around_it() -> None:
    # GIVEN the slice's count rose and of its units only shop.service was made anew, its count lost
    kills, _ = kills_between(look(5, around=2), look(6, shop=(7, 0), around=3))
    # THEN it was shop's, by all that is known
    assert kills == [OomKill(1, SHOP, certain=False, group=SHOP_AT, limit_bytes=LIMIT)]


def test_version_2_a_unit_that_is_gone_for_good_is_found_too() -> None:
    kills, _ = kills_between(look(5, around=2), look(6, shop=None, around=3))
    assert [kill.service for kill in kills] == [SHOP]


def test_version_2_a_kill_elsewhere_is_not_put_on_who_happened_to_restart() -> None:
    # GIVEN the machine's count rose, the slice's did not, and shop.service was restarted
    kills, _ = kills_between(look(5, around=2), look(6, shop=(7, 0), around=2))
    assert kills == [OomKill(1, None, certain=False)]


def test_version_2_what_a_sibling_accounts_for_is_not_counted_twice() -> None:
    # GIVEN web.service's own count explains the slice's, while shop.service was restarted
    kills, _ = kills_between(look(5, around=2), look(6, shop=(7, 0), web=(2, 1), around=3))
    assert [(kill.service, kill.count, kill.certain) for kill in kills] == [(WEB, 1, True)]


def test_two_that_were_made_anew_are_both_named_and_neither_blamed() -> None:
    kills, _ = kills_between(look(5, around=2), look(6, shop=(7, 0), web=(8, 0), around=3))
    assert kills == [OomKill(1, None, certain=False, group=SLICE, candidates=(SHOP.key, WEB.key))]


def test_version_2_a_kill_in_a_login_session_is_told_with_the_session() -> None:
    session = "/user.slice/user-1000.slice/session-3.scope"
    before, now = look(5, around=2), look(6, around=2)
    for at, counted in ((before, 0), (now, 1)):
        at.around.update({"/user.slice": GroupCount(10, counted), session: GroupCount(11, counted)})
    kills, _ = kills_between(before, now)
    assert kills == [OomKill(1, None, certain=False, group=session)]


def test_version_1_the_one_with_a_limit_is_the_likelier() -> None:
    kills, _ = kills_between(look(5), look(6, shop=(7, 0), web=(8, 0)))
    assert [(kill.service, kill.certain) for kill in kills] == [(SHOP, False)]


def test_a_kill_the_machine_s_count_shows_later_is_told_once() -> None:
    # GIVEN the group was read after a kill, the machine's count before it
    kills, told = kills_between(look(5), look(5, shop=(1, 1)))
    assert ([kill.count for kill in kills], told) == ([1], 1)
    # WHEN the machine's count has it, too
    assert kills_between(look(5, shop=(1, 1), told=told), look(6, shop=(1, 1))) == ([], 0)


def test_before_4_13_the_machine_does_not_count_and_nothing_is_inferred() -> None:
    assert kills_between(look(None), look(None, shop=(7, 0))) == ([], 0)
