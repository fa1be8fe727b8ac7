"""A time as text that names one moment, whichever program wrote it."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

from leakwatch.clock import END_S, FIRST_S

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DATE = rf"""
    (?:(?:mon|tue|wed|thu|fri|sat|sun),?[ ])?
    (?: (?P<year>\d{{4}}) (?:
            (?P<sep>[-/]?) (?P<month>\d\d) (?P=sep) (?P<day>\d\d)
          | -? w (?P<week>\d\d) -? (?P<weekday>[1-7])
          | -? (?P<ordinal>\d{{3}}) )
      | (?P<of_month>\d{{1,2}}) [ /-] (?P<name>{"|".join(_MONTHS)}) [ /-] (?P<named_year>\d{{4}}) )"""
_TIME = r"(?P<hour>\d\d) :? (?P<minute>\d\d) (?: :? (?P<second>\d\d) (?:[.,] (?P<fraction>\d{1,18}))? )?"
_ZONE = r"""
    [ ]? (?: (?P<utc>z|utc|gmt) | (?P<sign>[+-]) (?P<hours>\d\d) (?: :? (?P<minutes>\d\d))?
             (?: [ ]\(?(?P<called>[a-z]{1,5}|[+-]\d\d(?:\d\d)?)\)? | \[[a-z0-9_/+-]{1,40}\] )? )
    (?: [ ]m=[+-][\d.]{1,40} )?"""
_MOMENT = re.compile(rf"{_DATE} (?:[t ]|(?<=\d):) {_TIME} (?:{_ZONE})?", re.ASCII | re.IGNORECASE | re.VERBOSE)
"""RFC 3339 and the rest of ISO 8601 that names one moment, and what ``date``, strftime's ``%z``, journalctl, mail, web
servers' logs and Go (``+0200 CEST m=+1.5``) make of it."""
_DAY_ALONE = re.compile(_DATE, re.ASCII | re.IGNORECASE | re.VERBOSE)
_NO_YEAR = re.compile(rf"(?:{'|'.join(_MONTHS)})[a-z]* +\d{{1,2}} +\d\d:\d\d.*", re.ASCII | re.IGNORECASE)
_NAMED_ZONE = re.compile(rf"{_DATE} [t ] {_TIME} [ ]? [a-z]{{2,5}}", re.ASCII | re.IGNORECASE | re.VERBOSE)
ACCEPTED = "write seconds since 1970, or ISO 8601 with an offset, like 2026-11-24T05:19:00Z or 2026-11-24 07:19:00+0200"


def parse_time(text: str) -> int:
    """Return UTC milliseconds of a time that names one moment: RFC 3339, ISO 8601 with an offset, and their like.

    Raises ValueError with what is wrong with it, to be read after the text itself.
    """
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise ValueError(_no_moment(text))
    if found["utc"] is None and found["sign"] is None:
        raise ValueError("leaves its time zone open; append Z for UTC or an offset like +02:00")
    offset_s = _offset_s(found)
    if (found["called"] or "").lower() in ("utc", "gmt") and offset_s:
        raise ValueError("contradicts itself: UTC has no offset; write one of the two")
    try:
        seconds = _seconds(found) - offset_s
    except ValueError as error:
        raise ValueError(f"is not in the calendar: {error}") from None
    if not FIRST_S <= seconds < END_S:
        raise ValueError("is not in the calendar: the year is out of range")
    return seconds * 1000 + round(int((found["fraction"] or "0").ljust(18, "0")[:18]) / 10**15)


def _seconds(found: re.Match[str]) -> int:
    """Return the seconds since 1970 as if it were UTC; raises ValueError. Second 60 is the next minute's first."""
    second = int(found["second"] or 0)
    leap = second == 60
    at = datetime.combine(_day(found), time(int(found["hour"]), int(found["minute"]), second - leap), UTC)
    return int(at.timestamp()) + leap


def _day(found: re.Match[str]) -> date:
    if found["name"]:
        return date(int(found["named_year"]), _MONTHS.index(found["name"].lower()) + 1, int(found["of_month"]))
    year = int(found["year"])
    if found["week"]:
        return date.fromisocalendar(year, int(found["week"]), int(found["weekday"]))
    if found["ordinal"]:
        day = date(year, 1, 1) + timedelta(days=int(found["ordinal"]) - 1)
        if day.year != year:
            raise ValueError("the year has no such day")
        return day
    return date(year, int(found["month"]), int(found["day"]))


def _offset_s(found: re.Match[str]) -> int:
    if not found["sign"]:
        return 0
    hours, minutes = int(found["hours"]), int(found["minutes"] or 0)
    if hours > 23 or minutes > 59:
        raise ValueError("is not in the calendar: an offset is less than a day")
    return (hours * 3600 + minutes * 60) * (-1 if found["sign"] == "-" else 1)


def _no_moment(text: str) -> str:
    """Return what is wrong with a text that names no moment, and what to write."""
    if _DAY_ALONE.fullmatch(text):
        return "is a day, and begins at another moment in each time zone; write a time and an offset behind it: T00:00Z"
    if _NO_YEAR.fullmatch(text):
        return f"has no year; {ACCEPTED}"
    if _NAMED_ZONE.fullmatch(text):
        return "names its time zone by letters that several share; write its offset, like +02:00"
    return f"is no time; {ACCEPTED}"
