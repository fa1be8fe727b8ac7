"""Any bytes give captures or one clear error; what is good is read whatever stands beside it and however it comes."""

from __future__ import annotations

import csv
import gzip
import io
import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from leakwatch.analysis.replay.capture import in_elapsed_time
from leakwatch.errors import CaptureError
from tests.examples import examples
from tests.importers.csv_files import HEADER, Series, read

LINE_BREAK = b"\n"
SAMPLES: dict[bytes, tuple[str, int, float] | None] = {
    b"1750000000,proc/a[1],4096": ("proc/a[1]", 1_750_000_000_000, 4096.0),
    b"1750000060.5,proc/a[1],4096.25": ("proc/a[1]", 1_750_000_060_500, 4096.25),
    b"1,b,2": ("b", 1000, 2.0),
    b"1,b,3": ("b", 1000, 3.0),
    b"2,c,0": ("c", 2000, 0.0),
    b"2,c,-0": ("c", 2000, 0.0),
    b"0.001,d,1": ("d", 1, 1.0),
    b'1,"q",5': ("q", 1000, 5.0),
    b'"1","q","6"': ("q", 1000, 6.0),
    b'1,"c,d",5': ("c,d", 1000, 5.0),
    b'1,"two\nlines",5': ("two\nlines", 1000, 5.0),
    b'1,"say ""x""",5': ('say "x"', 1000, 5.0),
    b'1,x"y,5': ('x"y', 1000, 5.0),
    b"2026-11-24T05:19:00Z,r,7": ("r", 1_795_497_540_000, 7.0),
    b"2026-11-24 05:19:00.5+01:00,r,8": ("r", 1_795_493_940_500, 8.0),
    b"1e3,e,1e3": ("e", 1_000_000, 1000.0),
    b" 4 , s , 9 ": ("s", 4000, 9.0),
    b"5,s,10": ("s", 5000, 10.0),
    b"3,\xff,1": ("\udcff", 3000, 1.0),
    b"5,x,1\r": ("x", 5000, 1.0),
    b"6,x,12 kB": ("x", 6000, 12288.0),
    b"7,x,1.5MiB": ("x", 7000, 1572864.0),
    b"": None,
    b"  ": None,
    b"time,series,value": None,
}
LINES = st.sampled_from(list(SAMPLES))
WRONG = st.sampled_from([
    b"1,x,nan", b"1,x,", b"1,x,-1", b"1,x,12 pages", b"1,,1", b"x,x,1", b"1,x", b"1,x,1,1", b'1,"x,1', b"1,\0,1",
    b"1,a\rb,1",
])  # fmt: skip
NUMBERS = st.one_of(
    st.sampled_from(["1_000", "\u0663", "\uff11", "\u00b2", "inf", "nan", "-0", "-5", "1e400", "0x1f", "1e5_0"]),
    st.integers(0, 10**18).map(str),
    st.floats(0, 1e17).map(repr),
    st.from_regex(r"\A[0-9]{1,18}(\.[0-9]{0,9})?\Z"),
    st.text("0123456789.-+eE /:;\0", max_size=18),
)


def is_name(text: str) -> bool:
    return text == text.strip(" ") and "\0" not in text and not any(0xD800 <= ord(char) < 0xE000 for char in text)


def samples_of(lines: list[bytes]) -> Series:
    found: Series = {}
    for name, ms, value in filter(None, map(SAMPLES.get, lines)):
        samples = found.setdefault(name, [])
        if samples and samples[-1][0] == ms:
            samples.pop()
        samples.append((ms, value))
    return found


@given(st.permutations(list(SAMPLES)), st.lists(LINES, max_size=20), st.integers(1, 60))
def test_good_lines_of_every_kind_mixed(every: list[bytes], more: list[bytes], most: int) -> None:
    lines = [*every, *more]
    wanted = samples_of(lines)
    for times in wanted.values():  # how times that go back are told apart is a matter of the clock's own tests
        ms = [at for at, _ in times]
        times[:] = list(zip(in_elapsed_time(np.array(ms)).tolist(), (value for _, value in times), strict=True))
    found = read(HEADER + b"".join(line + b"\n" for line in lines), most)
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
@examples(150)
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


@given(NUMBERS)
def test_a_value_is_what_float_reads_of_a_plain_number_and_of_nothing_else(text: str) -> None:
    data = HEADER + f"1,x,{text}\n".encode()
    plain = re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text.strip())
    if plain and 0 <= float(text) <= 2.0**63:
        assert read(data) == {"x": [(1000, float(text))]}
    else:
        with pytest.raises(CaptureError, match=r"^f\.csv:2:5: "):
            read(data)


@given(st.lists(st.text(min_size=1, max_size=9).filter(is_name), min_size=1, unique=True), st.integers(1, 50))
def test_any_name_is_read_as_the_csv_module_writes_it(names: list[str], most: int) -> None:
    text = io.StringIO()
    csv.writer(text).writerows((second, name, at) for second in (1, 2) for at, name in enumerate(names))
    found = read(HEADER + text.getvalue().encode(), most)
    assert found == {name: [(1000, at), (2000, at)] for at, name in enumerate(names)}
