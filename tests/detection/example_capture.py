#!/usr/bin/env python3
"""Writes the capture.csv of the README: two days of one host, six series, two of them leaks and one on its way.

usage: python -m tests.detection.example_capture > capture.csv
"""

from __future__ import annotations

import sys

import numpy as np

BEGAN_S = 1_795_132_800  # 2026-11-20 00:00 UTC
MIB = 1 << 20


def series(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return bytes a minute of each series."""
    hours = np.arange(48 * 60) / 60
    day = np.sin(2 * np.pi * (hours - 9) / 24)

    def noise(mib: float) -> np.ndarray:
        return rng.normal(0, mib * MIB, len(hours))

    return {
        "proc/shop[812]": 840 * MIB + 6 * MIB * hours + 5 * MIB * day + noise(3),
        "slab/kmalloc-4k": 20 * MIB + 0.475 * MIB * hours + noise(0.05),
        "proc/index[1377]": 300 * MIB + 8 * MIB * np.maximum(hours - 43, 0) + noise(0.4),
        "proc/redis-server[913]": 512 * MIB * (1 - np.exp(-hours / 4)) + 40 * MIB + noise(0.3),
        "proc/java[1021]": 700 * MIB + (hours * 60 % 37) * 4 * MIB + noise(2),
        "slab/dentry": 180 * MIB + noise(1),
    }


def main() -> None:
    found = series(np.random.default_rng(20))
    rows = (
        f"{BEGAN_S + 60 * at},{name},{int(values[at]) // 4096 * 4096}\n"
        for at in range(48 * 60)
        for name, values in found.items()
    )
    sys.stdout.writelines(["time,series,value\n", *rows])


if __name__ == "__main__":
    main()
