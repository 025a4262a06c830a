"""Ctrl-C and its kin: the first one ends the work, and what comes while it ends changes nothing.

Outside a terminal uv's process group gets two SIGINTs for one.
"""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM)
_HANG_UP = getattr(signal, "SIGHUP", None)
_ALL = _ENDING if _HANG_UP is None else (*_ENDING, _HANG_UP)


@contextmanager
def interrupted_once() -> Generator[None]:
    """Inside, the first SIGINT or SIGTERM raises `KeyboardInterrupt`; later ones are ignored, to the process's end.

    A terminal that is closed counts as SIGTERM, unless nohup has it ignored.
    """
    before = {number: signal.signal(number, _interrupt) for number in _ENDING}
    if _HANG_UP is not None and signal.getsignal(_HANG_UP) is signal.SIG_DFL:
        before[_HANG_UP] = signal.signal(_HANG_UP, _terminate)
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, handler)


@contextmanager
def left_to_child() -> Generator[None]:
    """Inside, SIGINT is for the program that runs in the foreground, which gets it too."""
    before = signal.signal(signal.SIGINT, _nothing)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def ignore() -> None:
    """From now on the process ends, and nothing hurries it."""
    for number in _ALL:
        signal.signal(number, signal.SIG_IGN)


def _nothing(_number: int, _frame: FrameType | None) -> None: ...


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    ignore()
    raise KeyboardInterrupt


def _terminate(_number: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGTERM)
