"""The scorer on a tiny corpus whose right answers are known."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.detection.labelled import Label, fresh_dir, write_labels, write_trace

SCORE = Path(__file__).parent / "score.py"
T0 = 1_700_000_000
HOUR = 3600
END = 47 * HOUR

FAKE = """
import gzip, json, sys
T0 = 1_700_000_000.0
times = {}
for line in list(gzip.open(sys.argv[1], "rt"))[1:]:
    t, s, v = line.split(",")
    times.setdefault(s, []).append((float(t), float(v)))
K = (times["leak"][-1][0] - T0) / (47 * 3600)        # the scale it was given
at = lambda h: T0 + K * h * 3600
slope = (times["leak"][-1][1] - times["leak"][0][1]) / (times["leak"][-1][0] - times["leak"][0][0]) * 3600
answers = {
    "leak": ("leak", slope, at(16), None),
    "early": ("ok", 0.0, at(2), [[at(2), at(3)], [at(14), at(20)]]),
    "cache": ("ok", 0.0, at(5), [[at(5), at(12)], [at(30), at(31)]]),
    "noise": ("leak", 1.0, at(40), None),
    "walk": ("leak", 1.0, at(1), None),
}
for name, (verdict, slope, first, alerts) in answers.items():
    print(json.dumps({"series": name, "verdict": verdict, "slope_bytes_per_hour": slope, "first_alert": first,
                      **({"alerts": alerts} if alerts else {})}))
"""


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    names = ("leak", "early", "missed", "cache", "noise", "walk")
    rows = [(T0 + h * HOUR, name, 1e8 + (2e6 * h if name == "leak" else 0)) for h in range(48) for name in names]
    write_trace(f"{fresh_dir(str(tmp_path))}/T.csv.gz", rows)
    labels = [
        Label("T", "leak", "leak", "k1", 10 * HOUR, END, 2e6),
        Label("T", "early", "leak", "k2", 10 * HOUR, END, 1e6),
        Label("T", "missed", "leak", "k3", 0, END, 1e6),
        Label("T", "cache", "ok", "k4", 0, 10 * HOUR),
        Label("T", "noise", "ok", "k5"),
        Label("T", "walk", "ambiguous", "k6"),
    ]
    write_labels(str(tmp_path / "labels.csv"), labels)
    (tmp_path / "fake.py").write_text(FAKE)
    return tmp_path


@pytest.mark.parametrize("scale", ["1", "0.25", "3"])
def test_every_figure_is_the_known_one(corpus: Path, scale: str) -> None:
    out = corpus / "out.json"
    argv = [sys.executable, SCORE, corpus, "--json", out, "--boot", "20", "--time-scale", scale]
    subprocess.run([*argv, "--", sys.executable, corpus / "fake.py"], check=True, stdout=subprocess.DEVNULL)
    found = json.loads(out.read_text())["overall"]
    counts = {key: found[key] for key in ("n", "tp", "fn", "fp", "tn", "missing")}
    assert counts == {"n": 5, "tp": 1, "fn": 2, "fp": 1, "tn": 1, "missing": 1}
    assert (found["precision"], found["recall"], found["f1"]) == pytest.approx((1 / 2, 1 / 3, 2 / 5))
    # Healthy hours: the cache's 47 without its climb of 10, the noise's 47. First alarms outside climbs: the noise's.
    assert found["ok_hours"] == pytest.approx(84)
    assert found["fa_per_1000h"] == pytest.approx(1000 / 84)
    assert found["fa_all_per_1000h"] == pytest.approx(2000 / 84), "and the cache's second one"
    assert (found["climb_alarm"], found["n_climb"]) == (1, 1)
    # Delays: 16 - 10 = 6 h; 14 - 10 = 4 h, the alarm before the onset being early; never.
    assert (found["detected"], found["early"]) == pytest.approx((2 / 3, 1 / 3))
    assert (found["delay_med_h"], found["delay_p90_h"], found["delay_med_all_h"]) == pytest.approx((4, 6, 6))
    assert found["leaked_p90_mb"] == pytest.approx(12)
    assert (found["slope_err_med"], found["slope_err_n"]) == pytest.approx((0, 1))
