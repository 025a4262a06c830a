"""How a server process of the bench ends: at SIGTERM, or when the bench is gone, however it went."""

from __future__ import annotations

import asyncio
import os
import signal
import stat


def end_with_parent() -> None:
    """From now on SIGTERM comes when the pipe at standard input is closed, which even kill -9 of its writer does."""
    if not stat.S_ISFIFO(os.fstat(0).st_mode):
        return
    loop = asyncio.get_running_loop()

    def closed() -> None:
        loop.remove_reader(0)
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(0, closed)
