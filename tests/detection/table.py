#!/usr/bin/env python3
"""Prints reports of score.py as one Markdown table, in the order given: how the tables of docs/detector.md are made.

table.py leakwatch.json OUT_DIR/ols6h.json ...
"""

import json
import sys
from pathlib import Path

HEAD = "| detector | P | R | F1 | false alarms per 1000 h | healthy ever alarmed | delay, found | delay, all |"


def cell(value: float | None, digits: int, unit: str = "") -> str:
    return "-" if value is None else f"{value:.{digits}f}{unit}"


def row(path: str) -> str:
    o = json.loads(Path(path).read_text())["overall"]
    rates = " | ".join(cell(o[key], 2) for key in ("precision", "recall", "f1"))
    alarms = f"{cell(o['fa_per_1000h'], 1)} | {100 * o['fa_series']:.0f} %"
    delays = " | ".join(cell(o[key], 1, " h") for key in ("delay_med_h", "delay_med_all_h"))
    return f"| {Path(path).stem} | {rates} | {alarms} | {delays} |"


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit("usage: table.py REPORT.json...")
    print("\n".join([HEAD, "|---|" + "--:|" * 7, *map(row, sys.argv[1:])]))


if __name__ == "__main__":
    main()
