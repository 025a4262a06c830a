"""CPU time of processes, from Linux."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PPID, _CHILDREN_USER, _CHILDREN_SYSTEM = 1, 13, 14
"""Places in ``/proc/PID/stat`` after the command, which may hold blanks and stands in brackets."""


def used(pid: int) -> float:
    """Seconds of CPU that a process and everything it ever started have used, those that ended included."""
    while True:
        found = _descendants(pid)
        seconds = sum(_own(process) + ended for process, ended in found.items())
        # One that ends meanwhile moves from its own account to its parent's: look again.
        if _descendants(pid).keys() == found.keys():
            return seconds


def _own(pid: int) -> float:
    """By the process's clock (clock_getcpuclockid): ``/proc`` counts hundredths of a second."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def _descendants(pid: int) -> dict[int, float]:
    """A process and its living descendants, each with the CPU time of its children that have ended."""
    ended: dict[int, float] = {}
    children: defaultdict[int, list[int]] = defaultdict(list)
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        number = int(path.name)
        children[int(fields[_PPID])].append(number)
        ended[number] = (int(fields[_CHILDREN_USER]) + int(fields[_CHILDREN_SYSTEM])) / _TICK
    found: dict[int, float] = {}
    to_visit = [pid]
    while to_visit:
        number = to_visit.pop()
        found[number] = ended.get(number, 0.0)
        to_visit += children[number]
    return found
