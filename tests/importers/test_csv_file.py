"""The reader of tidy CSV on files as people have them."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from leakwatch.analysis.replay.series_name import SubjectKind
from leakwatch.errors import CaptureError, CaptureNotFoundError, PermissionNeededError
from leakwatch.importers import csv_file
from tests.importers.csv_files import HEADER, captures, read, read_path

CAPTURES = Path(__file__).parents[1] / "data/captures"
SAMPLES = b"1750000000.775,proc/a[1],4096\n1750000000.775,slab/dentry,8192.5\n1750000060,proc/a[1],4097\n"
FOUND = {
    "proc/a[1]": [(1750000000775, 4096.0), (1750000060000, 4097.0)],
    "slab/dentry": [(1750000000775, 8192.5)],
}


@pytest.mark.parametrize("most", [1, 2, 7, 40, 1 << 20])
def test_interleaved_series_are_taken_apart_however_the_bytes_come(most: int) -> None:
    assert read(HEADER + SAMPLES, most) == FOUND


def test_a_capture_says_what_it_is_and_holds_plain_arrays() -> None:
    one = captures(HEADER + SAMPLES)[0]
    assert (one.name, one.subject.kind, one.subject.service) == ("proc/a[1]", SubjectKind.PROCESS, "proc/a")
    assert (one.times_ms.dtype, one.values.dtype) == (np.int64, np.float64)


@pytest.mark.parametrize("most", [1, 11, 1 << 20])
@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(HEADER + SAMPLES, mtime=0),
        gzip.compress(HEADER, mtime=0) + gzip.compress(SAMPLES),
        gzip.compress(HEADER + SAMPLES, mtime=0) + bytes(512),
    ],
    ids=["one member", "two, as cat makes", "filled up with zeros"],
)
def test_gzip_is_known_by_its_bytes(packed: bytes, most: int) -> None:
    assert read(packed, most) == FOUND


@pytest.mark.parametrize(
    "data",
    [
        (HEADER + SAMPLES).replace(b"\n", b"\r\n"),
        (HEADER + SAMPLES).rstrip(b"\n"),
        b"\xef\xbb\xbf" + HEADER + SAMPLES,
        HEADER + b"\n" + SAMPLES + b"\n  \n",
        b" Time , SERIES,Value \n" + SAMPLES,
        b'"time","series","value"\n' + SAMPLES.replace(b"proc/a[1]", b'"proc/a[1]"'),
        HEADER + SAMPLES.replace(b",4096\n", b', "4096" \n').replace(b'"', b""),
    ],
    ids=["CRLF", "no last newline", "mark", "blank lines", "header in capitals", "quotes", "blanks"],
)
def test_the_same_samples_written_otherwise(data: bytes) -> None:
    assert read(data) == FOUND


def test_a_header_in_the_middle_is_passed_over() -> None:
    assert read(HEADER + SAMPLES + HEADER + b"1750000120,proc/a[1],1\n")["proc/a[1]"][-1] == (1750000120000, 1.0)


def test_columns_stand_in_any_order_and_others_are_ignored() -> None:
    assert read(b"host,value,time,note,series\nh,5,1,\xff,x\nh,6,2,,x\n") == {"x": [(1000, 5.0), (2000, 6.0)]}


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        (b"2026-11-24T05:19:00Z", 1795497540000),
        (b"2026-11-24 05:19:00.250Z", 1795497540250),
        (b"2026-11-24t07:19:00+02:00", 1795497540000),
        (b"2026-11-23T23:49:00-05:30", 1795497540000),
        (b"1795497540", 1795497540000),
        (b"1795497540.0004", 1795497540000),
        (b"1.79549754e9", 1795497540000),
        (b"0", 0),
        (b"1795497540.123456789", 1795497540123),
    ],
)
def test_times(text: bytes, ms: int) -> None:
    assert read(HEADER + text + b",x,1\n") == {"x": [(ms, 1.0)]}


@pytest.mark.parametrize(
    ("file", "seconds"),
    [
        ("times-offset_nocolon", [1782191047.123, 1782183847.123]),
        ("times-utc_word", [1782191047, 1782191047]),
        ("times-noseconds", [1782191040]),
    ],
)
def test_times_as_other_programs_write_them(file: str, seconds: list[float]) -> None:
    found = read_path(str(CAPTURES / f"{file}.csv"))
    assert found[0].name == "proc/app[1]"
    kept = list(dict.fromkeys(seconds))  # of one moment the last sample counts
    assert [at / 1000 for at in found[0].times_ms.tolist()] == kept


def test_a_day_alone_is_refused_with_what_to_write() -> None:
    with pytest.raises(CaptureError, match=r":2:1: '2026-06-23' is a day.*T00:00Z"):
        read_path(str(CAPTURES / "times-dates.csv"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"0", 0.0),
        (b"00012", 12.0),
        (b"-0", 0.0),
        (b"+7", 7.0),
        (b"1e6", 1e6),
        (b".5", 0.5),
        (b"5.", 5.0),
        (b"9223372036854775807", 2.0**63),
        (b"123456789012345", 123456789012345.0),
        (b"1234567.12345678", 1234567.12345678),
    ],
)
def test_values(text: bytes, value: float) -> None:
    assert read(HEADER + b"1,x," + text + b"\n") == {"x": [(1000, value)]}


def test_the_order_of_rows_is_kept_where_times_are_out_of_order() -> None:
    rows = b"".join(b"%d,x,%d\n" % (t, t) for t in (100, 160, 40, 100, 161))
    assert [ms for ms, _ in read(HEADER + rows)["x"]] == [100000, 160000, 40000, 100000, 161000]


def times(*shown: int) -> list[int]:
    rows = b"".join(b"%d,x,1\n%d,y,1\n" % (t, t) for t in shown)
    found = read(HEADER + rows)
    assert found["x"] == found["y"]
    return [ms // 1000 for ms, _ in found["x"]]


MINUTES = list(range(1_790_000_000, 1_790_003_600, 60))
HOUR = 3600


@pytest.mark.parametrize(
    "shown",
    [
        [*(t + HOUR for t in MINUTES[:30]), *MINUTES[30:]],
        [*(t + 26 * 8760 * HOUR for t in MINUTES[:30]), *MINUTES[30:]],
        [*MINUTES[:20], *(t + HOUR for t in MINUTES[20:30]), *MINUTES[30:]],
        [*MINUTES[:20], *(t - HOUR for t in MINUTES[20:30]), *MINUTES[30:]],
        [*(t - MINUTES[0] for t in MINUTES[:2]), *MINUTES[2:]],
        [*(t - MINUTES[0] + 946_684_800 for t in MINUTES[:2]), *MINUTES[2:]],
        MINUTES,
    ],
    ids=["an hour back", "26 years back", "forward and back", "back and forward", "from 1970", "from 2000", "none"],
)
def test_a_clock_that_is_set_moves_what_was_before(shown: list[int]) -> None:
    assert times(*shown) == MINUTES


def test_a_gap_is_one_and_so_is_a_lone_step_forward() -> None:
    shown = [*MINUTES[:20], *MINUTES[50:]]
    assert times(*shown) == shown


def test_of_samples_at_one_time_the_last_is_kept() -> None:
    rows = b"1,x,1\n1,y,5\n1.0001,x,2\n2,x,3\n2,x,4\n2,y,6\n"
    assert read(HEADER + rows) == {"x": [(1000, 2.0), (2000, 4.0)], "y": [(1000, 5.0), (2000, 6.0)]}


@pytest.mark.parametrize("most", [1, 9, 1 << 20])
def test_quoted_names_hold_anything_but_nul(most: int) -> None:
    data = HEADER + b'1,"a,b",1\n1,"say ""x""",2\n1,"two\nlines",3\n1,x,4\n2,"two\nlines",5\n'
    assert list(read(data, most)) == ["a,b", 'say "x"', "two\nlines", "x"]


def test_a_row_inside_a_quoted_name_is_no_sample() -> None:
    assert read(HEADER + b'1,"a\n5,evil,6\nb",1\n') == {"a\n5,evil,6\nb": [(1000, 1.0)]}


def test_names_that_are_not_utf8_stay_apart() -> None:
    found = read(HEADER + b"1,\xff,1\n1,\xfe,2\n1,\xc3\xa4,3\n")
    assert list(found) == ["\udcff", "\udcfe", "ä"]


def test_long_names_and_names_with_one_beginning() -> None:
    names = [b"n" * length for length in (1, 7, 8, 9, 63, 64, 65, 200)] + [b"n" * 199 + b"m"]
    rows = b"".join(b"%d,%s,%d\n" % (t, name, at) for t in range(3) for at, name in enumerate(names))
    found = read(HEADER + rows)
    assert [name.encode() for name in found] == names
    assert [values[0][1] for values in found.values()] == list(range(len(names)))


def test_as_many_series_as_one_likes() -> None:
    # More than 2^16, so that the order takes both halves of the numbers, each twice, so that there is one to keep.
    count = 70_000
    rows = b"".join(b"%d,s%d,%d\n" % (t, at, t + at) for t in (1, 2) for at in range(count))
    found = captures(HEADER + rows)
    assert [one.name for one in found] == [f"s{at}" for at in range(count)]
    assert all(one.values.tolist() == [at + 1, at + 2] for at, one in enumerate(found))


def test_the_series_come_in_the_order_of_their_first_samples_whichever_way_they_were_read() -> None:
    rows = b"1,odd, 1\n" + b"1,plain,1\n" * 3 + b"1,second, 1\n1,third,1\n"
    assert list(read(HEADER + rows)) == ["odd", "plain", "second", "third"]


def test_standard_input() -> None:
    code = "from leakwatch.importers.files import open_captures; print([len(f.captures) for f in open_captures('-')])"
    done = subprocess.run(
        [sys.executable, "-c", code], input=gzip.compress(HEADER + SAMPLES, mtime=0), capture_output=True, check=True
    )
    assert done.stdout == b"[2]\n"


def error(data: bytes) -> str:
    with pytest.raises(CaptureError) as caught:
        read(data)
    assert caught.value.exit_code == 65
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "place", "words"),
    [
        (b"", "1:1", "empty"),
        (b"\n", "1:1", "empty"),
        (HEADER, "2:1", "no sample follows"),
        (HEADER + HEADER + b"\n", "4:1", "no sample follows"),
        (b"time,value\n1,2\n", "1:1", 'no column "series"'),
        (b"1,x,5\n", "1:1", 'no column "time" and "series" and "value"'),
        (b"time,series,value,time\n1,x,5,1\n", "1:1", "two columns are named 'time'"),
        (HEADER + b"1,x,12 pages\n", "2:5", "'pages' is no unit that is known; write B, kB"),
        (HEADER + b"1,x,3m\n", "2:5", "'m' is no unit"),
        (HEADER + b"1,x,nan\n", "2:5", "'nan' is no number"),
        (HEADER + b"1,x,-inf\n", "2:5", "'-inf' is no number"),
        (HEADER + b"1,x,\n", "2:5", "no value"),
        (HEADER + b"1,x,1_000\n", "2:5", "'1_000' is no number"),
        (HEADER + b"1,x,0x10\n", "2:5", "'0x10'"),
        (HEADER + b"1,x,-5\n", "2:5", "'-5' is negative"),
        (HEADER + b"1,x,9300000000000000000\n", "2:5", "more than any machine has"),
        (HEADER + b"1,x,1e999\n", "2:5", "more than any machine has"),
        (HEADER + b"1,x,5\nyesterday,x,5\n", "3:1", "'yesterday' is no time"),
        (HEADER + b",x,5\n", "2:1", "no time"),
        (HEADER + b"-1,x,5\n", "2:1", "before 1970"),
        (HEADER + b"1969-12-31T23:59:59Z,x,5\n", "2:1", "before 1970"),
        (HEADER + b"1795497540123,x,5\n", "2:1", "seconds since 1970, not milliseconds"),
        (HEADER + b"2026-11-24T05:19:00,x,5\n", "2:1", "leaves its time zone open"),
        (HEADER + b"2026-02-30T05:19:00Z,x,5\n", "2:1", "not in the calendar"),
        (HEADER + b"1,,5\n", "2:3", "no name"),
        (HEADER + b"1, ,5\n", "2:3", "no name"),
        (HEADER + b"1,a\0b,5\n", "2:3", "NUL"),
        (HEADER + b"1,x\n", "2:3", "2 fields where the header has 3"),
        (HEADER + b"1,a,b,5\n", "2:5", "4 fields where the header has 3"),
        (HEADER + b'1,"a,b",x5\n', "2:9", "'x5' is no number"),
        (HEADER + b'1,"a"",b",x5\n', "2:11", "'x5' is no number"),
        (HEADER + b'1,a"b,x5\n', "2:7", "'x5' is no number"),
        (HEADER + b'1,"a\nb",x5\n', "3:4", "'x5' is no number"),
        (HEADER + b'1,"a,5\n1,x,6\n', "2:1", "cannot be split into fields"),
        (HEADER + b'1,"a"b,5\n', "2:1", "cannot be split into fields"),
        (HEADER + b"1,a\rb,5\n", "2:1", "cannot be split into fields"),
        (HEADER + b"1,x,5\n" * 50_000 + b"1,x,oops\n", "50002:5", "'oops'"),
        (HEADER + b"1,\xc3\xa4,oops\n", "2:5", "'oops'"),
        (b"\x7fELF\x02\x01\x01\0\0\n", "1:1", "no column"),
        (b"x" * 3_000_000, "1:1", "a line of more than"),
        (gzip.compress(HEADER + SAMPLES, mtime=0)[:-9], "", "the compressed data end too early"),
        (gzip.compress(HEADER + SAMPLES, mtime=0)[:5], "1:1", "the compressed data end too early"),
        (gzip.compress(HEADER + SAMPLES, mtime=0)[:-8] + b"\1" * 8, "", "the compressed data are damaged"),
        (gzip.compress(HEADER + SAMPLES, mtime=0) + b"more", "", "the compressed data are damaged"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(data: bytes, place: str, words: str) -> None:
    said = error(data)
    assert said.startswith(f"f.csv:{place}")
    assert words in said
    assert "\n" not in said


@pytest.mark.parametrize("most", [1, 3, 1 << 20])
def test_the_place_is_that_of_the_field_however_the_bytes_come(most: int) -> None:
    with pytest.raises(CaptureError, match=r"^f\.csv:6:4: 'x5' is no number"):
        read(HEADER + b'1,"a\nb",5\n\n1,"a\nb",x5\n1,"a\nb",5\n', most)


@pytest.mark.parametrize(
    ("limit", "most", "words"),
    [("MOST_LINES", 40, "more than 40 lines"), ("MOST_NAMES", 30, "30 series"), ("MOST_NAME_CHARS", 80, "too long")],
)
def test_more_than_can_be_held_is_refused(monkeypatch: pytest.MonkeyPatch, limit: str, most: int, words: str) -> None:
    monkeypatch.setattr(csv_file, limit, most)
    rows = [b"1,x%d,1\n" % at for at in range(50)]
    assert len(read(HEADER + b"".join(rows[:20]), 20)) == 20
    with pytest.raises(CaptureError, match=rf"^f\.csv:[345].:1: .*{words}.*give fewer"):
        read(HEADER + b"".join(rows), 20)


def test_a_wrong_value_is_shown_in_short_and_escaped() -> None:
    said = error(HEADER + b"1,x," + b"\x1b[31m" + b"\xff" * 5000 + b"\n")
    assert "\\x1b[31m\\xff" in said
    assert len(said) < 300


def test_a_truncated_download_tells_how_far_it_goes() -> None:
    data = HEADER + b"".join(b"%d,x,%d\n" % (t, zlib.crc32(b"%d" % t)) for t in range(20_000))
    said = error(gzip.compress(data)[:-2000])
    line = int(said.split(":")[1])
    assert 10_000 < line < 20_000


@pytest.mark.parametrize("path", ["/nonexistent/f.csv", "/", "a\0b"])
def test_what_is_no_file_is_an_error_of_its_own(path: str) -> None:
    with pytest.raises(CaptureNotFoundError, match="cannot be read"):
        read_path(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_says_so(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(HEADER)
    path.chmod(0)
    with pytest.raises(PermissionNeededError):
        read_path(str(path))
