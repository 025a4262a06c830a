"""The floor: a bare grpc.aio server on uvloop, which answers whatever it is sent with the same bytes.

    python -m bench.echo ANSWER_BYTES [PORT]

Prints its port, which it shares with others who are given it, and a port of its own. Its second method says how many
calls it has answered.
"""

from __future__ import annotations

import asyncio
import signal
import sys

import grpc
import grpc.aio
import uvloop

from bench.lifetime import end_with_parent

SERVICE = "bench.Echo"

Context = grpc.aio.ServicerContext[bytes, bytes]


class Echo:
    """Answers `size` bytes to each call, and counts them."""

    def __init__(self, size: int) -> None:
        self._answer = bytes(size)
        self._answered = 0

    async def answer(self, _request: bytes, _context: Context) -> bytes:
        """The same bytes each time."""
        self._answered += 1
        return self._answer

    async def count(self, _request: bytes, _context: Context) -> bytes:
        """How many calls were answered, in decimal digits."""
        return str(self._answered).encode()


async def serve(echo: Echo, port: int) -> None:
    """Serve on a port of loopback, 0 for a free one, until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = grpc.aio.server(options=[("grpc.so_reuseport", 1)])
    handlers = {
        "Answer": grpc.unary_unary_rpc_method_handler(echo.answer),
        "Count": grpc.unary_unary_rpc_method_handler(echo.count),
    }
    server.add_registered_method_handlers(SERVICE, handlers)
    shared, own = (server.add_insecure_port(f"127.0.0.1:{number}") for number in (port, 0))
    await server.start()
    print(shared, own, flush=True)
    end_with_parent()
    await stop.wait()
    await server.stop(0)


if __name__ == "__main__":
    uvloop.run(serve(Echo(int(sys.argv[1])), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
