"""What a running daemon has loaded."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path


def test_the_daemon_loads_neither_openssl_nor_numpy(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[store]\nurl = "sqlite:///{tmp_path}/store.db"\n')
    argv = [sys.executable, "-m", "leakwatch", "daemon", "--config", str(config)]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as daemon:
        try:
            assert daemon.stderr is not None
            assert "sampling every 60 s" in daemon.stderr.readline()
            time.sleep(3)  # the first scrape and the first purge
            loaded = Path(f"/proc/{daemon.pid}/maps").read_text()
        finally:
            daemon.terminate()
    assert "sqlite" in loaded, "it did come to storing"
    assert "libcrypto" not in loaded
    assert "numpy" not in loaded
