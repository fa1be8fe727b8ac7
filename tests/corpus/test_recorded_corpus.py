"""The recorded corpus is what its format says, and its labels agree with what was recorded."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.quality

RECORDED = Path(__file__).parent / "recorded"
CORPORA = ["programs", "kernel"]


def labels_of(corpus: str) -> list[dict[str, str]]:
    with (RECORDED / corpus / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def traces_of(corpus: str) -> dict[tuple[str, str], np.ndarray]:
    """(trace, series) -> rows of time since the trace's beginning and bytes."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for path in sorted((RECORDED / corpus / "traces").glob("*.csv.gz")):
        with gzip.open(path, "rt", newline="") as file:
            rows = list(csv.DictReader(file))
        begin = float(rows[0]["time"])
        for row in rows:
            key = (path.name.removesuffix(".csv.gz"), row["series"])
            found.setdefault(key, []).append((float(row["time"]) - begin, float(row["value"])))
    return {key: np.array(pairs) for key, pairs in found.items()}


@pytest.fixture(scope="module", params=CORPORA)
def corpus(request: pytest.FixtureRequest) -> tuple[list[dict[str, str]], dict[tuple[str, str], np.ndarray]]:
    return labels_of(request.param), traces_of(request.param)


def test_every_series_has_one_label_and_every_label_its_series(corpus):
    labels, series = corpus
    assert Counter((label["trace"], label["series"]) for label in labels) == Counter(series.keys())


def test_leaks_and_healthy_series_are_both_there_in_number(corpus):
    labels, _ = corpus
    counts = Counter(label["label"] for label in labels)
    assert set(counts) == {"leak", "ok", "ambiguous"}
    assert counts["leak"] >= 10
    assert counts["ok"] >= 20


def test_a_leak_lies_within_its_series_and_has_a_rate(corpus):
    labels, series = corpus
    for label in (label for label in labels if label["label"] == "leak"):
        times = series[label["trace"], label["series"]][:, 0]
        assert times[0] - 120 <= float(label["onset_s"]) < float(label["end_s"]) <= times[-1] + 120, label
        assert float(label["true_rate_bytes_per_hour"]) > 0, label


def test_what_is_called_a_leak_rose_by_about_what_was_leaked(corpus):
    """Within halves and doubles, its start left out: heaps have slack, and working sets come beside the leak."""
    labels, series = corpus
    for label in (label for label in labels if label["label"] == "leak"):
        times, values = series[label["trace"], label["series"]].T
        onset, end = float(label["onset_s"]), float(label["end_s"])
        inside = (times >= onset + 0.15 * (end - onset)) & (times <= end)
        slope = np.polyfit(times[inside] / 3600, values[inside], 1)[0]
        assert 0.45 < slope / float(label["true_rate_bytes_per_hour"]) < 2.2, label


def test_names_and_values_are_plain(corpus):
    _, series = corpus
    for (_, name), rows in series.items():
        assert name.startswith(("proc/", "group/", "kernel/")), name
        assert (np.diff(rows[:, 0]) > 0).all(), name
        assert (rows[:, 1] >= 0).all(), name
