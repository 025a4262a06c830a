"""What grpcio does to whole processes; run by test_grpcio_server_traps.py, one line of result on stdout.

python grpcio_process.py fork-before | fork-beside | stall | stall-without-probe
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import grpc.aio

_HANGS_AFTER = 1.0
_SERVES_WITHIN = 5.0
_REQUESTS, _SIZE = 60, 1_000_000

Context = grpc.aio.ServicerContext[bytes, bytes]


async def _answer(request: bytes, context: Context) -> bytes:
    return b""


async def _stall(request: bytes, context: Context) -> bytes:
    """Stands still for a second, with the whole loop, and says what memory grew by meanwhile, in MB."""
    before = _resident()
    time.sleep(1)
    print((_resident() - before) // 1_000_000, flush=True)
    return b""


async def _serve(*options: tuple[str, int]) -> tuple[grpc.aio.Server, str]:
    server = grpc.aio.server(options=options)
    methods = {"Ask": _answer, "Stall": _stall}
    handlers = {name: grpc.unary_unary_rpc_method_handler(handler) for name, handler in methods.items()}
    server.add_registered_method_handlers("bare.Bare", handlers)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, f"127.0.0.1:{port}"


async def _round_trip() -> None:
    server, address = await _serve()
    async with grpc.aio.insecure_channel(address) as channel:
        await channel.unary_unary("/bare.Bare/Ask")(b"", timeout=1)
    await server.stop(0)


async def _object() -> grpc.aio.Server:
    return grpc.aio.server()


def _fork(*, beside: bool) -> str:
    """A child that serves one call, forked with or without a gRPC object in its parent."""
    loop = asyncio.new_event_loop()
    kept = loop.run_until_complete(_object()) if beside else None
    child = os.fork()
    if child == 0:
        status = 1
        try:
            asyncio.run(_round_trip())
            status = 0
        finally:
            os._exit(status)
    until = time.monotonic() + (_HANGS_AFTER if beside else _SERVES_WITHIN)
    while time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            aborted = os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGABRT, signal.SIGSEGV)
            return "child aborted" if aborted else "child served" if status == 0 else f"child ended with {status}"
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    del kept
    return "child hangs"


def _resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def _stalled(*options: tuple[str, int]) -> None:
    """A server that stands still while another process sends to it."""
    server, address = await _serve(*options)
    sender = await asyncio.create_subprocess_exec(sys.executable, __file__, "send", address)
    await sender.wait()
    await server.stop(0)


async def _send(address: str) -> None:
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(address, options=options)) for _ in range(4)
        ]
        for channel in channels:
            await channel.unary_unary("/bare.Bare/Ask")(b"", timeout=5)
        asks = [channel.unary_unary("/bare.Bare/Ask") for channel in channels]
        await asyncio.gather(
            channels[0].unary_unary("/bare.Bare/Stall")(b"", timeout=5),
            *(asks[i % 4](bytes(_SIZE), timeout=5) for i in range(_REQUESTS)),
        )


def main(what: str, *arguments: str) -> None:
    if what == "stall":
        asyncio.run(_stalled())
    elif what == "stall-without-probe":
        asyncio.run(_stalled(("grpc.http2.bdp_probe", 0)))
    elif what == "send":
        asyncio.run(_send(*arguments))
    else:
        print(_fork(beside=what == "fork-beside"), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
