"""``/proc/PID/status``."""

from __future__ import annotations

import pytest

from leakwatch.procfs.files import MalformedError
from leakwatch.procfs.pid import status as pid_status

STATUS = (
    b"Name:\tmysqld\nState:\tS (sleeping)\nPid:\t1301\nUid:\t27\t28\t29\t30\nGroups:\t27 \n"
    b"VmSize:\t   81028 kB\nVmRSS:\t   66924 kB\nRssAnon:\t   60000 kB\nRssFile:\t    5900 kB\nRssShmem:\t    1024 kB\n"
    b"VmSwap:\t    4096 kB\nThreads:\t22\n"
)


def test_given_a_modern_kernel_every_field_is_there_in_bytes() -> None:
    assert pid_status.parse(STATUS) == pid_status.PidStatus(
        name="mysqld",
        uid=27,
        vm_size_bytes=81028 * 1024,
        vm_rss_bytes=66924 * 1024,
        rss_anon_bytes=60000 * 1024,
        rss_file_bytes=5900 * 1024,
        rss_shmem_bytes=1024 * 1024,
        vm_swap_bytes=4096 * 1024,
        threads=22,
    )


def test_given_a_kernel_before_4_5_the_parts_of_rss_are_none_not_zero() -> None:
    old = b"".join(line for line in STATUS.splitlines(keepends=True) if not line.startswith(b"Rss"))
    status = pid_status.parse(old)
    assert (status.rss_anon_bytes, status.rss_file_bytes, status.rss_shmem_bytes) == (None, None, None)
    assert status.vm_rss_bytes == 66924 * 1024


def test_given_a_kernel_thread_no_memory_field_is_there() -> None:
    status = pid_status.parse(b"Name:\tkthreadd\nUid:\t0\t0\t0\t0\nThreads:\t1\n")
    assert (status.vm_size_bytes, status.vm_rss_bytes, status.vm_swap_bytes, status.threads) == (None, None, None, 1)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (rb") R 1 (\n", ") R 1 (\n"),
        (rb"back\\slash", "back\\slash"),
        (rb"\\n", "\\n"),
        (rb"\033[31m", "\x1b[31m"),
        (rb"a\tb\rc\vd\fe\ag\eh\"", 'a\tb\rc\vd\fe\ag\x1bh"'),
        (b" blank ", " blank "),
        (b"with: colon", "with: colon"),
        (b"\xff", "\udcff"),
        (rb"\777", "\udcff"),
        (b"end\\", "end\\"),
    ],
)
def test_the_kernels_escapes_of_the_name_are_undone(written: bytes, name: str) -> None:
    assert pid_status.parse(STATUS.replace(b"mysqld", written)).name == name


def test_given_two_lines_of_one_name_the_first_counts() -> None:
    assert pid_status.parse(STATUS + b"Uid:\t99\n").uid == 27


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"Name:\tx\n",
        b"Uid:\t0\n",
        STATUS.replace(b"\t27\t", b"\troot\t"),
        STATUS.replace(b"81028 kB", b"81028 MB"),
        STATUS.replace(b"81028 kB", b"kB"),
        STATUS.replace(b"Threads:\t22", b"Threads:\t-1"),
    ],
)
def test_given_something_else_it_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        pid_status.parse(data)
