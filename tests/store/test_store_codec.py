"""The store's own encodings: what was written is what is read, to the bit, and damage is noticed."""

from __future__ import annotations

import math
import struct
import zlib
from array import array
from itertools import accumulate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from leakwatch.store import chunks, payload, rounds
from leakwatch.store.integers import Bytes, PayloadError, column, plain_column, read_column, read_runs, runs, varint

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
    assert payload.unpack(payload.pack(body, once=once)).take(len(body)) == body


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
    for packed in (raw, payload.pack(raw), framed):
        for read in (rounds.decode_round, rounds.decode_block_round, chunks.decode_course, chunks.decode_block_course):
            try:
                read(packed, count)
            except PayloadError:
                continue


def test_a_later_format_is_told_from_damage() -> None:
    raw = b"\2" + payload.pack(b"x")[1:-4]
    with pytest.raises(PayloadError, match="format 2"):
        payload.unpack(raw + zlib.crc32(raw).to_bytes(4, "little"))


@pytest.mark.parametrize("count", [120, 1440])
def test_what_does_not_change_costs_nearly_nothing(count: int) -> None:
    course = chunks.Course(b"\1" * count, array("q", [123_456 * 4096] * count), b"")
    assert len(chunks.encode_course(course)) <= 20


def test_a_chunk_s_number_tells_seal_and_series() -> None:
    number = chunks.chunk_number(7, 123_456)
    assert (chunks.seal_of(number), chunks.series_of(number)) == (7, 123_456)
    low, high = chunks.chunk_range(7)
    assert low <= number <= high < chunks.chunk_range(8)[0]
