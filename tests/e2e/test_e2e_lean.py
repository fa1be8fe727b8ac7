"""What a running daemon has loaded."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.live


def test_the_daemon_loads_nothing_heavy(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        f'[sampling]\ninterval = "0.2s"\n[analysis]\nwindows = ["12s", "24s"]\n[store]\nurl = "sqlite:///{tmp_path}/store.db"\n'
    )
    argv = [sys.executable, "-m", "leakwatch", "daemon", "--config", str(config)]
    subprocess.run([*argv, "--for", "1s"], capture_output=True, check=True)  # for a store to read back and to tend
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as daemon:
        try:
            assert daemon.stderr is not None
            assert "sampling every 0.2 s" in daemon.stderr.readline()
            assert "history back beside sampling" in daemon.stderr.readline()
            assert any("resumed from the store" in line for line in daemon.stderr)
            time.sleep(8)  # scrapes, the first purge, an evaluation
            loaded = Path(f"/proc/{daemon.pid}/maps").read_text()
        finally:
            daemon.terminate()
    assert "sqlite" in loaded, "it did come to storing"
    for heavy in ("libcrypto", "numpy", "sqlalchemy"):
        assert heavy not in loaded
