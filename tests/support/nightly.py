"""Whether there is time for more than the suite does."""

from __future__ import annotations

import os
from typing import Final

NIGHTLY: Final = os.environ.get("BANTER_NIGHTLY") == "1"
