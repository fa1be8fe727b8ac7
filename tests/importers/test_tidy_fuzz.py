"""Any bytes give captures or one clear error, and the quick way reads what the csv module and float read."""

from __future__ import annotations

import csv
import gzip
import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from leakwatch.errors import CaptureError
from leakwatch.importers.layout import Layout
from leakwatch.importers.names import Names
from leakwatch.importers.plain import cut, numbers
from leakwatch.importers.rows import sample, text_rows
from tests.importers.tidy_files import HEADER, Series, read

LAYOUT = Layout(3, 0, 1, 2)
LINE_BREAK = b"\n"
LINES = st.sampled_from([
    b"1750000000,proc/a[1],4096", b"1750000060.5,proc/a[1],4096.25", b"1,b,2", b"1,b,3", b"2,c,0", b"0.001,d,1",
    b'1,"q",5', b'"1","q","6"', b'1,"c,d",5', b'1,"two\nlines",5', b'1,"say ""x""",5', b'1,x"y,5',
    b"2026-11-24T05:19:00Z,r,7", b"2026-11-24 05:19:00.5+01:00,r,8", b"1e3,e,1e3", b" 4 , s , 9 ", b"", b"  ",
    b"time,series,value", b"3,\xff,1", b"5,x,1\r", b"6,x,12 kB", b"7,x,1.5MiB",
])  # fmt: skip
WRONG = st.sampled_from([
    b"1,x,nan", b"1,x,", b"1,x,-1", b"1,x,12 pages", b"1,,1", b"x,x,1", b"1,x", b"1,x,1,1", b'1,"x,1', b"1,\0,1",
    b"1,a\rb,1",
])  # fmt: skip
NUMBERS = st.one_of(
    st.integers(0, 10**18).map(str),
    st.floats(0, 1e17).map(repr),
    st.from_regex(r"\A[0-9]{1,18}(\.[0-9]{0,9})?\Z"),
    st.text("0123456789.-+eE /:;\0", max_size=18),
)


def slowly(data: bytes) -> Series:
    """Read row by row, by the csv module alone."""
    found: Series = {}
    for place, fields in text_rows(data.splitlines(keepends=True), "f.csv", 1):
        row = sample(place, fields, LAYOUT)
        if row is not None:
            samples = found.setdefault(row.name.decode("utf-8", "surrogateescape"), [])
            if samples and samples[-1][0] == row.time_ms:
                samples.pop()
            samples.append((row.time_ms, row.value))
    return found


@given(st.lists(LINES, max_size=40), st.integers(1, 60))
def test_good_lines_of_every_kind_mixed(lines: list[bytes], most: int) -> None:
    data = HEADER + b"".join(line + b"\n" for line in [*lines, b"9,last,9"])
    found, wanted = read(data, most), slowly(data)
    assert found == wanted
    assert list(found) == list(wanted)


@given(st.lists(LINES, max_size=30), WRONG, st.lists(LINES, max_size=30), st.integers(1, 200))
def test_one_wrong_line_among_good_ones_is_found_at_its_place(
    before: list[bytes], wrong: bytes, after: list[bytes], most: int
) -> None:
    lines = b"".join(line + b"\n" for line in before)
    with pytest.raises(CaptureError, match=rf"^f\.csv:{2 + lines.count(LINE_BREAK)}:[0-9]+: "):
        read(HEADER + lines + wrong + b"\n" + b"".join(line + b"\n" for line in after), most)


@given(st.binary(max_size=300), st.sampled_from([b"", HEADER, HEADER + b"1,x,5\n", b"\x1f\x8b"]), st.integers(1, 50))
@example(b"\x1f\x8b\x08", b"", 1)
@settings(max_examples=500)
def test_any_bytes_give_captures_or_one_line_that_says_where(data: bytes, before: bytes, most: int) -> None:
    found = read_or_error(before + data, most)
    if isinstance(found, str):
        assert re.fullmatch(r"f\.csv:[0-9]+:[0-9]+: [^\n]+", found)
    else:
        assert found
        assert all(samples for samples in found.values())
        assert all(0 <= value <= 2.0**63 and ms >= 0 for samples in found.values() for ms, value in samples)


@given(st.binary(min_size=1, max_size=200), st.integers(0, 200), st.integers(1, 255))
def test_damaged_gzip_gives_captures_or_an_error(noise: bytes, at: int, flip: int) -> None:
    packed = bytearray(gzip.compress(HEADER + b"1,x,5\n" * 50 + b"2," + noise.hex().encode() + b",6\n"))
    packed[at % len(packed)] ^= flip
    found = read_or_error(bytes(packed))
    assert isinstance(found, dict) or "\n" not in found


def read_or_error(data: bytes, most: int = 1 << 20) -> Series | str:
    try:
        return read(data, most)
    except CaptureError as error:
        return str(error)


@given(st.lists(NUMBERS, min_size=1, max_size=30))
def test_numbers_read_at_once_are_those_that_float_reads(texts: list[str]) -> None:
    chunk = "".join(f"{text}," for text in texts).encode()
    ends = [at for at, byte in enumerate(chunk) if byte == ord(",")]
    starts = [0, *(end + 1 for end in ends[:-1])]
    plain, found = numbers(chunk, np.array(starts), np.array(ends))
    for text, is_plain, value in zip(texts, plain.tolist(), found.tolist(), strict=True):
        digits = text.replace(".", "", 1)
        wanted = bool(re.fullmatch(r"[0-9]+(\.[0-9]+)?", text, re.ASCII)) and len(digits) <= 15
        assert is_plain == wanted
        if wanted:
            assert value == float(text)


@given(st.lists(st.text(st.sampled_from('ab,"\n\r é'), max_size=5), min_size=3, max_size=3), st.booleans())
def test_cut_lines_have_the_fields_that_the_csv_module_finds(fields: list[str], quote: bool) -> None:
    text = ",".join('"' + field.replace('"', '""') + '"' if quote else field for field in fields) + "\n"
    chunk = text.encode()
    found = cut(chunk, LAYOUT)
    if found is None or len(found.plain) != 1 or len(found.line_starts) != 1:
        return
    cells = [chunk[start[0] : end[0]].decode() for start, end in zip(found.starts, found.ends, strict=True)]
    assert [cells] == list(csv.reader([text], strict=True))


@given(st.lists(st.lists(st.binary(max_size=70), min_size=1, max_size=40), min_size=1, max_size=6))
def test_every_name_has_one_number_and_every_number_one_name(chunks: list[list[bytes]]) -> None:
    names = Names()
    known: dict[bytes, int] = {}
    for texts in chunks:
        ends = []
        for text in texts:
            ends.append((ends[-1] if ends else 0) + len(text))
        starts = [end - len(text) for end, text in zip(ends, texts, strict=True)]
        found = names.numbers(b"".join(texts), np.array(starts), np.array(ends)).tolist()
        for text, number in zip(texts, found, strict=True):
            assert known.setdefault(text, number) == number
    assert len(set(known.values())) == len(known)
    listed = list(names)
    assert all(listed[number] == text for text, number in known.items())
