"""`python -m banter_grpc` is the command `banter`."""

from __future__ import annotations

import sys

from banter_grpc.cli import main

if __name__ == "__main__":
    sys.exit(main())
