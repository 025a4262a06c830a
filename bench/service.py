"""`banter serve` in a process of its own, as in production, but that it ends with the bench.

BANTER_... python -m bench.service ARGUMENTS
"""

from __future__ import annotations

import sys

from banter_grpc.cli import main
from bench.lifetime import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    sys.exit(main(["serve", *sys.argv[1:]]))
