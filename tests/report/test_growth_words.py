"""What grows, in words, as a table and for programs."""

from __future__ import annotations

import json
from dataclasses import replace

from leakwatch.model.memory_class import ClassTrend, ClassUse, Growth
from leakwatch.report import growth_words, json_report, maps, renderers
from tests.report.report_findings import NOW_MS, ROWS, report

MIB, HOUR_MS = 1 << 20, 3_600_000


def trend(key: str, rate: float, share: float | None, held: int = 40 * MIB) -> ClassTrend:
    return ClassTrend(key, held, 3, rate, rate * 0.9, rate * 1.1, 12.0 if rate else 0.0, share)


HEAP, STACKS = trend("heap", 3.1 * MIB, 0.97), trend("thread_stacks", 0.1 * MIB, 0.03)
GROWTH = Growth(9, 1, NOW_MS - 2 * HOUR_MS, NOW_MS, 3.2 * MIB, (HEAP, STACKS, trend("file:/lib/x", 0.0, 0.0)))


def test_the_class_with_its_part_of_the_whole() -> None:
    assert growth_words.sentence(GROWTH) == "grows: the heap, +3.10 MiB/h of 3.20 (97 %), by 9 reads in 2 h"


def test_the_unit_is_told_twice_where_it_differs() -> None:
    small = replace(GROWTH, slope_bytes_per_hour=1.5 * MIB, classes=(trend("heap", 900 * 1024, 0.6), HEAP))
    assert growth_words.sentence(small).startswith(
        "grows: the heap, +900 KiB/h of 1.50 MiB/h (60 %); the heap +3.10 MiB/h"
    )


def test_a_second_class_is_named_where_it_matters() -> None:
    both = replace(GROWTH, classes=(trend("heap", 2 * MIB, 0.66), trend("memfd:\x1b[1m", MIB, 0.33)))
    said = growth_words.sentence(replace(both, processes=4))
    assert "; memfd \\x1b[1m +1.00 MiB/h, by 9 reads at 4 processes in" in said


def test_where_nothing_grows_nothing_is_said() -> None:
    assert growth_words.sentence(None) == ""
    assert growth_words.sentence(replace(GROWTH, slope_bytes_per_hour=-1.0)) == ""
    assert growth_words.sentence(replace(GROWTH, classes=())) == ""
    assert growth_words.sentence(replace(GROWTH, classes=(trend("heap", 0.0, 0.0),))) == ""


def test_the_table_has_every_class_that_grows() -> None:
    heading, heap, stacks, file = growth_words.table(GROWTH)
    assert heading.split()[:3] == ["class", "mappings", "held"]
    assert "+3.10 MiB/h (2.79 MiB to 3.41 MiB)" in heap
    assert "97 %" in heap
    assert heap.endswith("+12")
    assert stacks.startswith("thread stacks")
    assert file.split()[-3:] == ["-", "-", "-"]
    many = tuple(trend(f"file:/{n}", 0.0, 0.0) for n in range(30))
    assert growth_words.table(replace(GROWTH, classes=many))[-1] == "and 18 more that do not grow"
    growing = tuple(trend(f"file:/{n}", 1.0, 0.0) for n in range(30))
    assert len(growth_words.table(replace(GROWTH, classes=growing))) == 31


def test_a_report_says_it_under_the_finding() -> None:
    rows = (replace(ROWS[0], growth=GROWTH), *ROWS[1:])
    said = report(rows)
    assert renderers.render_terminal(said).count("    grows: the heap, +3.10 MiB/h of 3.20 (97 %)") == 1
    assert renderers.render_markdown(said).count("grows: the heap, +3.10 MiB/h of 3.20 (97 %)") == 1
    found = json.loads(json_report.render(said))["findings"]
    told = [one["growing"] for one in found if one["growing"]]
    assert len(told) == 1
    assert told[0]["classes"][0] == {
        "class": "heap", "title": "the heap", "held_bytes": 40 * MIB, "mappings": 3,
        "slope_bytes_per_hour": round(3.1 * MIB), "slope_low": round(3.1 * 0.9 * MIB),
        "slope_high": round(3.1 * 1.1 * MIB), "mappings_per_hour": 12.0, "share": 0.97,
    }  # fmt: skip
    assert told[0]["looks"] == 9


def test_a_name_that_is_no_utf8_is_escaped_in_json() -> None:
    odd = replace(GROWTH, classes=(trend("memfd:caf\udce9", MIB, 1.0),))
    told = growth_words.growth_object(odd)
    assert told is not None
    assert told["classes"][0]["class"] == "memfd:caf\\xe9"
    assert growth_words.growth_object(None) is None


def test_of_a_long_path_the_end_is_shown() -> None:
    long = growth_words.short_title("file:/usr/lib/jvm/java-17-openjdk-amd64/lib/server/libjvm.so")
    assert long.startswith("file …")
    assert long.endswith("/lib/server/libjvm.so")
    assert len(long) == 48
    assert growth_words.short_title("heap") == "the heap"
    assert len(growth_words.short_title("named:" + "x" * 200)) == 48


def line(key: str, now: int, before: int | None, mappings: int = 1) -> maps.MapsLine:
    old = None if before is None else ClassUse(key, 1, dirty_bytes=before)
    return maps.MapsLine(key, ClassUse(key, mappings, 4 * MIB, dirty_bytes=now), old)


def test_maps_answers_first_what_changed() -> None:
    classes = (line("stack", 8192, 8192), line("heap", 3 * MIB, MIB, mappings=3), line("file:/lib/\x1b", 0, 0))
    told = maps.table(maps.Looked(812, "sh\nop", NOW_MS, 10.0, classes)).splitlines()
    assert told[0] == (
        "sh\\x0aop (pid 812) holds 3.01 MiB of private memory and swap, +2.00 MiB in 10 s: the heap +2.00 MiB."
    )
    assert told[3].split()[:3] == ["the", "heap", "3"]
    assert told[3].split()[-3:] == ["+2.00", "MiB", "+2"]
    assert told[5].startswith("all")
    assert told[6] == "1 more class without private memory."


def test_maps_of_what_shrinks_or_stands_still() -> None:
    shrinks = maps.Looked(1, "x", NOW_MS, 5.0, (line("heap", MIB, 3 * MIB), line("stack", 8192, 0)))
    assert "-2.00 MiB" not in maps.table(maps.Looked(1, "x", NOW_MS, None, (line("heap", MIB, None),)))
    assert "-1.99 MiB in 5 s: the heap -2.00 MiB." in maps.table(shrinks)
    still = maps.Looked(1, "x", NOW_MS, 5.0, (line("heap", MIB, MIB),))
    assert maps.table(still).splitlines()[0].endswith("of private memory and swap; no change in 5 s.")
