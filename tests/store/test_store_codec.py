"""The store's own encodings: what was written is what is read, to the bit, and damage is noticed."""

from __future__ import annotations

import contextlib
import math
import struct
import zlib
from array import array
from dataclasses import replace
from itertools import accumulate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from leakwatch.model.verdict import Verdict, said
from leakwatch.store.encoding import chunks, rounds
from leakwatch.store.encoding.codec import decode_finding, encode_finding
from leakwatch.store.encoding.integers import (
    Bytes,
    PayloadError,
    column,
    plain_column,
    read_column,
    read_runs,
    runs,
    varint,
)
from tests.report.report_findings import finding

LOW, HIGH = -(2**63), 2**63 - 1
int64 = st.integers(LOW, HIGH)
extremes = st.sampled_from([LOW, LOW + 1, -1, 0, 1, HIGH - 1, HIGH])
walks = st.lists(st.integers(-50, 60), max_size=300).map(lambda steps: [4096 * n for n in accumulate(steps, initial=9)])
numbers = st.lists(int64 | extremes, max_size=200) | walks
masks = st.binary(max_size=300).map(lambda raw: bytes(byte & 1 for byte in raw)) | st.lists(
    st.integers(0, 40), max_size=20
).map(lambda lengths: b"".join(bytes([at & 1]) * length for at, length in enumerate(lengths)))


@given(st.integers(0, 2**70))
def test_a_varint_comes_back(value: int) -> None:
    data = Bytes(varint(value))
    assert data.varint() == value
    assert data.at_end()


@given(numbers)
@example([LOW, HIGH, LOW, HIGH])
@example([0, LOW])
@example([HIGH])
@example([])
def test_a_column_comes_back(values: list[int]) -> None:
    for write in (column, plain_column):
        data = Bytes(write(values))
        assert list(read_column(data, len(values))) == values
        assert data.at_end()


@given(masks)
def test_a_mask_comes_back(mask: bytes) -> None:
    data = Bytes(runs(mask))
    assert read_runs(data, len(mask)) == mask
    assert data.at_end()


@given(st.binary(max_size=3000), st.booleans())
def test_a_payload_comes_back(body: bytes, once: bool) -> None:
    assert rounds.unpack(rounds.pack(body, once=once)).take(len(body)) == body


@given(st.dictionaries(st.integers(1, 2**31), st.tuples(int64 | extremes, st.booleans()), max_size=100))
def test_a_round_comes_back(samples: dict[int, tuple[int, bool]]) -> None:
    found = rounds.decode_round(rounds.encode_round(samples), len(samples))
    marks = found.estimated or bytes(len(samples))
    assert dict(zip(found.series, zip(found.values, map(bool, marks), strict=True), strict=True)) == samples


@given(masks, st.data())
def test_a_course_with_gaps_and_estimates_comes_back(present: bytes, data: st.DataObject) -> None:
    # GIVEN a series that is absent from some scrapes, of which some values were estimated
    count = present.count(1)
    values = data.draw(st.lists(int64 | extremes, min_size=count, max_size=count))
    marks = bytes(data.draw(st.lists(st.integers(0, 1), min_size=count, max_size=count)))
    # WHEN it is packed and read
    found = chunks.decode_course(chunks.encode_course(chunks.Course(present, array("q", values), marks)), len(present))
    # THEN it is the same
    assert found.present == present
    assert list(found.values) == values
    assert (found.estimated or bytes(count)) == marks


@given(st.lists(st.tuples(st.integers(1, 2**40), st.integers(0, 2**50)), max_size=200, unique_by=lambda pair: pair[0]))
def test_times_come_back_even_when_the_clock_was_set(pairs: list[tuple[int, int]]) -> None:
    numbers, times_ms = [n for n, _ in pairs], [ms for _, ms in pairs]
    found = chunks.decode_times(chunks.encode_times(numbers, times_ms), len(pairs))
    assert (list(found[0]), list(found[1])) == (numbers, times_ms)


levels = st.floats() | st.integers(-(2**55), 2**55).map(lambda half: half / 2) | st.sampled_from([0.0, -0.0, math.nan])
blocks = st.tuples(st.integers(1, 2**31), levels, levels, levels, levels, st.integers(0, 2**50))


Block = tuple[int, float, float, float, float, int]


def bits(block: Block) -> bytes:
    return struct.pack("<qddddq", *block)


@given(st.lists(blocks, min_size=1, max_size=50))
@example([(5, 1.5, 2.0, 3.0, 3.0, 7)] * 40)
def test_blocks_come_back_to_the_bit(given_blocks: list[Block]) -> None:
    # As a round
    series = {3 * at + 1: block for at, block in enumerate(given_blocks)}
    keys, columns = rounds.decode_block_round(rounds.encode_block_round(series), len(series))
    assert list(keys) == list(series)
    assert [bits(b) for b in zip(*columns, strict=True)] == [bits(b) for b in given_blocks]
    # AND as one series' course, with a gap
    present = b"\0" + b"\1" * len(given_blocks)
    written = chunks.BlockCourse(present, rounds.BlockColumns(*zip(*given_blocks, strict=True)))
    course = chunks.decode_block_course(chunks.encode_block_course(written), len(present))
    assert course.present == present
    assert [bits(b) for b in zip(*course.columns, strict=True)] == [bits(b) for b in given_blocks]


@given(st.lists(int64, min_size=1, max_size=60), st.data())
def test_a_changed_byte_is_noticed(values: list[int], data: st.DataObject) -> None:
    course = chunks.Course(b"\1" * len(values), array("q", values), b"")
    packed = bytearray(chunks.encode_course(course))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(PayloadError):
        chunks.decode_course(bytes(packed), len(values))


@given(st.binary(max_size=400), st.integers(0, 300))
def test_any_bytes_are_read_or_refused(raw: bytes, count: int) -> None:
    framed = b"\1\0" + raw
    for packed in (raw, rounds.pack(raw), framed):
        for read in (rounds.decode_round, rounds.decode_block_round, chunks.decode_course, chunks.decode_block_course):
            with contextlib.suppress(PayloadError):
                assert read(packed, count) is not None


def test_a_later_format_is_told_from_damage() -> None:
    raw = b"\2" + rounds.pack(b"x")[1:-4]
    with pytest.raises(PayloadError, match="format 2"):
        rounds.unpack(raw + zlib.crc32(raw).to_bytes(4, "little"))


@pytest.mark.parametrize("count", [120, 1440])
def test_what_does_not_change_costs_nearly_nothing(count: int) -> None:
    course = chunks.Course(b"\1" * count, array("q", [123_456 * 4096] * count), b"")
    assert len(chunks.encode_course(course)) <= 20


def test_a_chunk_s_number_tells_seal_and_series() -> None:
    number = chunks.chunk_number(7, 123_456)
    assert (chunks.seal_of(number), chunks.series_of(number)) == (7, 123_456)
    low, high = chunks.chunk_range(7)
    assert low <= number <= high < chunks.chunk_range(8)[0]


# Format 1, as it lies in stores already: to be read for ever. (Written, another zlib may pack it otherwise.)

ROUND = "010163646364e2629360e0fdc7a0c0f09f8101076661040200a2b3f591"
COURSE = "01016364636062646664e4686860646460f8cfc0c8a060ff808101c4c449b03032313102005843843e"
STEADY = "010000090080409b424c0b"
TIMES = "010163e4626462625163483cc09013e6901310181470040816000123100000727f6c87"
BLOCK_ROUND = "0100010201022105040080b083c5986801002103032101012102022102028ae88992"
BLOCK_COURSE = (
    "010163646160646462e402110d1b9a8fcec8f879fde0a21e13a028630304fca887324418e0620d0d8c735e371e38d1fe73b61d03134cb4a301"
    "c6fa62cfc0c40165b73430323220831f0cf500c0a517b5"
)
BLOCKS: list[Block] = [
    (5, 1.5, 2.0, 3.0, 2.5, 1_790_000_000_000),
    (4, 1.5, 2.0, 3.0, 2.5, 1_790_000_000_000),
    (5, 0.25, 1e300, math.inf, -0.0, 7),
]


def test_what_was_written_in_format_1_is_read() -> None:
    one = rounds.decode_round(bytes.fromhex(ROUND), 4)
    assert (list(one.series), list(one.values), list(one.estimated)) == (
        [3, 4, 9, 12], [4096, -7, HIGH, 0], [0, 1, 0, 1],
    )  # fmt: skip
    course = chunks.decode_course(bytes.fromhex(COURSE), 8)
    assert list(course.present) == [1, 1, 0, 1, 1, 1, 0, 1]
    assert list(course.values) == [8192, 8192, 12288, 4096, LOW, HIGH]
    assert list(course.estimated) == [0, 1, 1, 0, 0, 1]
    steady = chunks.decode_course(bytes.fromhex(STEADY), 1440)
    assert list(steady.values) == [4096 * at for at in range(1440)]
    numbers, times_ms = chunks.decode_times(bytes.fromhex(TIMES), 4)
    assert list(numbers) == [5, 6, 7, 9]
    assert list(times_ms) == [1_790_000_000_000, 1_790_000_060_001, 1_790_000_120_000, 1_790_000_000_000]
    series, columns = rounds.decode_block_round(bytes.fromhex(BLOCK_ROUND), 2)
    assert list(series) == [1, 2]
    assert [bits(b) for b in zip(*columns, strict=True)] == [bits(b) for b in BLOCKS[:2]]
    blocks_ = chunks.decode_block_course(bytes.fromhex(BLOCK_COURSE), 4)
    assert list(blocks_.present) == [1, 0, 1, 1]
    assert [bits(b) for b in zip(*blocks_.columns, strict=True)] == [bits(b) for b in BLOCKS]


def test_the_look_up_of_one_series_finds_what_the_whole_round_has() -> None:
    # GIVEN rounds whose series are written in the same bytes though there are more of them, and others
    made = [
        {n: (n * 1000 + at, at % 2 == 0) for n in numbers}
        for at, numbers in enumerate([range(1, 4), range(1, 6), range(2, 6), (3, 90, 500), (), range(1, 4)])
        if numbers
    ]
    for series in (1, 3, 5, 90):
        lookup = rounds.Lookup(series)
        for samples in made:
            assert lookup.find(rounds.encode_round(samples), len(samples)) == samples.get(series)


@given(st.text(max_size=3), st.text(max_size=3), st.text(max_size=3))
def test_a_finding_with_any_names_comes_back(name: str, user: str, note: str) -> None:
    one = replace(finding("p1", name, Verdict.LEAK), user=user, notes=said(note))
    assert decode_finding(encode_finding(one)) == one
