"""Keeps out of the daemon's memory what it never uses."""

from __future__ import annotations

import sys

UNUSED = ("ssl", "_hashlib")
"""The two ways to OpenSSL: APScheduler imports asyncio for the name of one function, asyncio imports ssl, and hashlib
takes its digests from OpenSSL where it can. The daemon opens no connection and needs no digest but those that Python
itself has, and everybody who imports these copes without. Measured: 5.0 MB, a tenth of the daemon."""


def without_openssl() -> None:
    """Have OpenSSL never loaded by this process. To be called before the imports that would."""
    for name in UNUSED:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type] # documented: None stops the import
