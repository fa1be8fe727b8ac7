"""``/proc/PID/stat`` and ``statm``: the name that can hold anything, and the states."""

from __future__ import annotations

import pytest

from leakwatch.procfs.files import MalformedError
from leakwatch.procfs.pid import stat as pid_stat

REST = b" S 17 812 812 0 -1 4194560 120 0 3 0 5 3 0 0 20 0 4 0 2110 8192000 512 18446744073709551615 1 1 0 0 0 0 0 0"


def line(comm: bytes, rest: bytes = REST) -> bytes:
    return b"812 (" + comm + b")" + rest + b"\n"


def test_given_a_plain_name_every_field_is_where_proc_pid_stat_says() -> None:
    assert pid_stat.parse(line(b"redis-server")) == pid_stat.PidStat(
        pid=812,
        comm="redis-server",
        state="S",
        ppid=17,
        pgrp=812,
        flags=4194560,
        num_threads=4,
        start_ticks=2110,
        vsize_bytes=8192000,
        rss_pages=512,
    )


@pytest.mark.parametrize(
    ("comm", "expected"),
    [
        (b") R 1 (", ") R 1 ("),
        (b"a) S 1 2 3", "a) S 1 2 3"),
        (b"", ""),
        (b"tab\tand\nline", "tab\tand\nline"),
        (b"\xff\xfe", "\udcff\udcfe"),
        ("größe".encode(), "größe"),
        (b"((((", "(((("),
        (b"))))", "))))"),
        (b" (x) ", " (x) "),
    ],
)
def test_given_a_hostile_name_the_line_is_split_at_the_last_parenthesis(comm: bytes, expected: str) -> None:
    stat = pid_stat.parse(line(comm))
    assert (stat.pid, stat.comm, stat.state, stat.start_ticks) == (812, expected, "S", 2110)


def test_given_a_name_that_is_not_utf8_no_byte_is_lost() -> None:
    assert pid_stat.parse(line(b"a\x80b\xffc")).comm.encode("utf-8", "surrogateescape") == b"a\x80b\xffc"


@pytest.mark.parametrize(
    ("state", "threads", "zombie", "lost"),
    [
        (b"Z", b"1", True, False),
        (b"X", b"0", True, False),
        (b"x", b"1", True, False),
        (b"Z", b"3", False, True),
        (b"R", b"1", False, False),
        (b"I", b"1", False, False),
    ],
)
def test_a_process_whose_main_thread_ended_is_no_zombie(state: bytes, threads: bytes, zombie: bool, lost: bool) -> None:
    rest = REST.replace(b" S ", b" " + state + b" ").replace(b" 20 0 4 ", b" 20 0 " + threads + b" ")
    stat = pid_stat.parse(line(b"x", rest))
    assert (stat.is_zombie, stat.has_lost_main_thread) == (zombie, lost)


def test_flags_tell_kernel_threads_and_exiting_processes() -> None:
    plain = pid_stat.parse(line(b"x"))
    kernel = pid_stat.parse(line(b"kthreadd", REST.replace(b"4194560", b"2129984")))
    exiting = pid_stat.parse(line(b"x", REST.replace(b"4194560", b"4194564")))
    assert (plain.is_kernel_thread, kernel.is_kernel_thread) == (False, True)
    assert (plain.is_exiting, exiting.is_exiting) == (False, True)


def test_given_an_rss_below_zero_the_process_keeps_its_identity() -> None:
    assert pid_stat.parse(line(b"x", REST.replace(b" 512 ", b" -3 "))).rss_pages == -3


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"812",
        b"812 (x",
        b"812 x) S 1",
        b"812 (x) S 1 2 3\n",
        b"(x)" + REST,
        b"-1 (x)" + REST,
        b"812 (x)" + REST.replace(b" S ", b" SS "),
        b"812 (x)" + REST.replace(b" 2110 ", b" 21_10 "),
        b"812 (x)" + REST.replace(b" 2110 ", b" " + b"9" * 5000 + b" "),
    ],
)
def test_given_something_else_stat_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        pid_stat.parse(data)


def test_statm_gives_pages_and_their_anonymous_part() -> None:
    statm = pid_stat.parse_statm(b"6422 4683 2357 691 0 2712 0\n")
    assert statm == pid_stat.PidStatm(size_pages=6422, resident_pages=4683, shared_pages=2357, text_pages=691)
    assert statm.anonymous_pages == 2326


def test_given_counters_read_apart_anonymous_pages_stay_above_zero() -> None:
    assert pid_stat.parse_statm(b"10 5 6 0 0 0 0").anonymous_pages == 0


@pytest.mark.parametrize("data", [b"", b"1 2 3", b"1 two 3 4 5 6 7", b"1 2 -3 4 5 6 7", b"1 2 3 4 5 6 7 8"])
def test_given_something_else_statm_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        pid_stat.parse_statm(data)
