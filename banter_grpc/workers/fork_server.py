"""The fork server: ``python -m banter_grpc.workers.fork_server ORDERS REPORTS``, two sockets to the supervisor.

It imports what a worker needs, once. Each file descriptor that comes over ORDERS is one end of a new worker's line to
the supervisor; the worker is a fork of this process, there within milliseconds, and shares with its fellows what none
of them writes. Over REPORTS go the workers that have ended. This process has one thread, no event loop and no gRPC
object: nothing that would not survive a fork.

After the supervisor has hung up, it forks no more, and ends after the last of its workers.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
from contextlib import suppress

from banter_grpc.workers import worker


def main() -> int:
    """Fork a worker for each order; in a fork, be that worker."""
    orders, reports = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    # Whom a terminal or a service manager sends these to is for the supervisor to decide.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    woken, wakes = socket.socketpair()
    wakes.setblocking(False)
    signal.set_wakeup_fd(wakes.fileno())
    signal.signal(signal.SIGCHLD, _wake)
    gc.collect()
    gc.freeze()
    watched = [orders, woken]
    while orders in watched or _have_children():
        readable, _, _ = select.select(watched, [], [])
        if woken in readable:
            woken.recv(64)
            _report(reports)
        if orders in readable:
            _, ends, _, _ = socket.recv_fds(orders, 1, 1)
            if not ends:
                watched.remove(orders)
                continue
            if os.fork() == 0:
                _leave_behind(orders, reports, woken, wakes)
                return worker.main(socket.socket(fileno=ends[0]))
            os.close(ends[0])
    return 0


def _wake(_number: int, _frame: object) -> None:
    """Nothing: that there is a handler makes the signal wake `select`."""


def _have_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _report(reports: socket.socket) -> None:
    """Tell which workers have ended since the last time, and how."""
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
            pid, status = ended
            line = {"ended": pid, "exit_status": os.waitstatus_to_exitcode(status)}
            with suppress(OSError):  # nobody is left to tell
                reports.sendall(json.dumps(line).encode() + b"\n")


def _leave_behind(*sockets: socket.socket) -> None:
    """In a fork: what is the fork server's."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    for each in sockets:
        each.close()


if __name__ == "__main__":
    sys.exit(main())
