"""The service in a process of its own, as in production: JSON logs (to nowhere), metrics, uvloop.

    BANTER_... python -m bench.service KEYFILE

Reads the settings of the environment, trusts tokens of the development key in KEYFILE, prints its port.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import uvloop

from banter_grpc.config import Settings
from banter_grpc.rpc.mint import DevKey, dev_issuers
from banter_grpc.rpc.telemetry.logs import make_log
from banter_grpc.server import Server, serve
from bench.lifetime import end_with_parent


def main() -> None:
    """Serve until SIGTERM."""
    key = DevKey.load_or_create(Path(sys.argv[1]))
    settings = Settings()  # pyright: ignore[reportCallIssue] - all of it has defaults
    with open(os.devnull, "w") as nowhere:
        log = make_log("json", settings.log_level, nowhere)
        uvloop.run(serve(settings, log, _announce, dev_issuers(key)))


def _announce(server: Server) -> None:
    print(server.port, flush=True)
    end_with_parent()


if __name__ == "__main__":
    main()
