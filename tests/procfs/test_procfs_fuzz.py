"""Whatever the bytes, a parser gives a record whose numbers the store can hold, or raises MalformedError."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakwatch.procfs.files import MalformedError
from leakwatch.procfs.host import meminfo, mounts, pagesize, slabinfo, vmallocinfo
from leakwatch.procfs.host import stat as host_stat
from leakwatch.procfs.pid import cgroup, mappings, smaps, stat, status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TREES = Path(__file__).parents[1] / "data" / "proc"
PARSERS: dict[str, tuple[Callable[[bytes], object], str]] = {
    "stat": (stat.parse, "[0-9]*/stat"),
    "statm": (stat.parse_statm, "[0-9]*/statm"),
    "status": (status.parse, "[0-9]*/status"),
    "smaps_rollup": (smaps.parse_rollup, "[0-9]*/smaps_rollup"),
    "smaps": (smaps.parse_smaps, "[0-9]*/smaps"),
    "mappings": (lambda data: mappings.total(*mappings.parse(data)), "[0-9]*/smaps"),
    "mountinfo": (mounts.parse, "[0-9]*/mountinfo"),
    "cgroup": (cgroup.parse, "[0-9]*/cgroup"),
    "cmdline": (status.parse_cmdline, "[0-9]*/cmdline"),
    "auxv": (pagesize.page_size_of, "[0-9]*/auxv"),
    "meminfo": (meminfo.parse, "meminfo"),
    "slabinfo": (slabinfo.parse, "slabinfo"),
    "vmallocinfo": (vmallocinfo.parse, "vmallocinfo"),
    "host stat": (host_stat.parse, "stat"),
}


def recorded(pattern: str) -> list[bytes]:
    """Return real files' beginnings: the end of a long one teaches nothing more and costs time."""
    found = [path.read_bytes()[:6000] for path in sorted(TREES.glob(f"*/proc/{pattern}"))]
    return [data for data in found if data] or [b""]


@st.composite
def mutated(draw: st.DrawFn, pattern: str) -> bytes:
    """Take a real file and cut, repeat, overwrite or insert a few times."""
    data = draw(st.sampled_from(recorded(pattern)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 200)))
        piece = draw(
            st.one_of(
                st.binary(max_size=20),
                st.just(data[start:end] * 2),
                st.sampled_from(
                    [b"", b"\n", b" ", b":", b"-1", b")", b"\0", b"kB", b"18446744073709551615", b"9" * 30]
                ),
            )
        )
        data = data[:start] + piece + data[end:]
    return data


def numbers(record: object) -> Iterable[int]:
    if isinstance(record, int):
        yield record
    elif dataclasses.is_dataclass(record):
        for field in dataclasses.fields(record):
            yield from numbers(getattr(record, field.name))
    elif isinstance(record, tuple):
        for part in record:
            yield from numbers(part)


def check(parse: Callable[[bytes], object], data: bytes) -> None:
    try:
        record = parse(data)
    except MalformedError:
        return
    assert all(-(2**63) <= number < 2**63 for number in numbers(record))


@pytest.mark.parametrize("name", PARSERS)
@given(data=st.binary(max_size=300))
def test_any_bytes(name: str, data: bytes) -> None:
    check(PARSERS[name][0], data)


@pytest.mark.parametrize("name", PARSERS)
@given(choice=st.data())
@settings(deadline=None)
def test_real_files_damaged(name: str, choice: st.DataObject) -> None:
    parse, pattern = PARSERS[name]
    check(parse, choice.draw(mutated(pattern)))


@given(
    comm=st.binary(max_size=64),
    pid=st.integers(1, 2**22),
    start=st.integers(0, 2**63 - 1),
    state=st.sampled_from(list("RSDTtZXI")),
)
def test_any_name_of_a_process_leaves_its_identity_intact(comm: bytes, pid: int, start: int, state: str) -> None:
    rest = f"{state} 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {start} 0 0 0"
    found = stat.parse(b"%d (" % pid + comm + b") " + rest.encode() + b"\n")
    assert (found.pid, found.state, found.start_ticks) == (pid, state, start)
    assert found.comm.encode("utf-8", "surrogateescape") == comm


@given(
    caches=st.lists(st.tuples(st.sampled_from(["a", "b", "a@64", "a@64#2"]), st.sampled_from([64, 128])), max_size=12)
)
def test_slab_keys_are_unique_and_do_not_change_when_a_newer_cache_appears(caches: list[tuple[str, int]]) -> None:
    def keys(some: list[tuple[str, int]]) -> list[str]:
        lines = [f"{name} 1 1 {size} 1 1 : tunables 0 0 0 : slabdata 1 1 0\n" for name, size in some]
        return [cache.key for cache in slabinfo.parse(("slabinfo - version: 2.1\n" + "".join(lines)).encode())]

    found = keys(caches)
    assert len(set(found)) == len(caches)
    assert found[1:] == keys(caches[1:])
