"""``python -m leakwatch`` is the ``leakwatch`` command."""

import sys

from leakwatch.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
