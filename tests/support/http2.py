"""A raw HTTP/2 client that speaks gRPC as badly as it is told to: any header bytes, any frames, half an exchange."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from hpack import Decoder, Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

Headers = Sequence[tuple[bytes, bytes]]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

_WINDOW = 65535
_FRAME = 16384


@dataclass(slots=True)
class Answer:
    """What came back on one stream: headers and trailers together, the bytes between, and how it ended."""

    headers: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    data: bytes = b""
    reset: int | None = None
    ended: bool = False

    @property
    def http_status(self) -> int | None:
        """The `:status`, None when no headers came."""
        return int(self.headers[b":status"]) if b":status" in self.headers else None

    @property
    def grpc_status(self) -> int | None:
        """The `grpc-status`, None when none came."""
        return int(self.headers[b"grpc-status"]) if b"grpc-status" in self.headers else None


def request_headers(path: bytes, extra: Headers = ()) -> list[tuple[bytes, bytes]]:
    """The headers of a gRPC call; `extra` replaces those of the same name and appends the others."""
    replaced = {name for name, _ in extra}
    ordinary = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"localhost"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    ]
    pseudo = [header for header in extra if header[0].startswith(b":")]
    others = [header for header in extra if not header[0].startswith(b":")]
    kept = [header for header in ordinary if header[0] not in replaced]
    return [
        *(h for h in kept if h[0].startswith(b":")),
        *pseudo,
        *(h for h in kept if not h[0].startswith(b":")),
        *others,
    ]


def framed(message: bytes) -> bytes:
    """A message as gRPC puts it into DATA: not compressed, its length, its bytes."""
    return b"\0" + struct.pack(">I", len(message)) + message


def recording(path: bytes, message: bytes = b"", extra: Headers = ()) -> bytes:
    """All bytes that a client sends for one small unary call on a fresh connection."""
    headers = HeadersFrame(1, Encoder().encode(request_headers(path, extra)), flags=["END_HEADERS"])
    data = DataFrame(1, framed(message), flags=["END_STREAM"])
    return PREFACE + b"".join(frame.serialize() for frame in (SettingsFrame(), headers, data))


class Connection:
    """One connection, made by `connection`; it keeps to the windows and to nothing else.

    It goes on after GOAWAY, sends any header, and closes nothing by itself. What a server does not do in time raises
    `TimeoutError`; a connection that the server has closed is no error, and its answers stay as they are.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._encoder = Encoder()
        self._decoder = Decoder()
        self._answers: dict[int, Answer] = {}
        self._windows: dict[int, int] = {0: _WINDOW}
        self._first_window = _WINDOW
        self._next_stream = 1
        self._block = b""
        self.closed = False
        """Whether the server has hung up."""
        self.pongs = 0
        """Answers to our pings so far."""
        self.goaway: int | None = None
        """Error code of the last GOAWAY that was read."""

    async def send(self, path: bytes, message: bytes = b"", extra: Headers = (), *, end: bool = True) -> int:
        """Start a unary call and return its stream; with `end` False the client's side stays open."""
        return await self.send_data(path, framed(message), extra, end=end)

    async def send_data(self, path: bytes, data: bytes, extra: Headers = (), *, end: bool = True) -> int:
        """As `send`, with any bytes as DATA."""
        stream = self._next_stream
        self._next_stream += 2
        self._answers[stream] = Answer()
        self._windows[stream] = self._first_window
        await self._send(
            HeadersFrame(stream, self._encoder.encode(request_headers(path, extra)), flags=["END_HEADERS"])
        )
        while data and not self._over(stream):
            room = min(self._windows[stream], self._windows[0], _FRAME, len(data))
            if room <= 0:
                await self._read(2.0)
                continue
            self._windows[stream] -= room
            self._windows[0] -= room
            await self._send(DataFrame(stream, data[:room]))
            data = data[room:]
        if end and not self._over(stream):
            await self._send(DataFrame(stream, flags=["END_STREAM"]))
        return stream

    async def burst(self, path: bytes, count: int) -> list[int]:
        """So many calls with an empty message, in one go; returns their streams."""
        streams = range(self._next_stream, self._next_stream + 2 * count, 2)
        self._next_stream += 2 * count
        frames: list[Frame] = []
        for stream in streams:
            self._answers[stream] = Answer()
            self._windows[stream] = self._first_window
            frames.append(HeadersFrame(stream, self._encoder.encode(request_headers(path)), flags=["END_HEADERS"]))
            frames.append(DataFrame(stream, framed(b""), flags=["END_STREAM"]))
        await self._send(*frames)
        return list(streams)

    async def answer(self, stream: int, within: float = 2.0) -> Answer:
        """Read until the stream is over, and return what came on it."""
        async with asyncio.timeout(within):
            while not self._over(stream):
                await self._read(within)
        return self._answers[stream]

    async def reset(self, *streams: int, code: int = 8) -> None:
        """Send RST_STREAM, CANCEL unless another code is given."""
        await self._send(*(RstStreamFrame(stream, code) for stream in streams))

    async def ping(self) -> None:
        """Send one PING."""
        await self._send(PingFrame(0, b"testping"))

    async def read_for(self, seconds: float) -> None:
        """Read whatever comes for so long, or until the server hangs up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self.closed:
                    await self._read(seconds)

    async def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError:
            self.closed = True

    def close(self) -> None:
        """Close it at once, without a word."""
        self._writer.transport.abort()

    def _over(self, stream: int) -> bool:
        return self._answers[stream].ended or self.closed

    async def _send(self, *frames: Frame) -> None:
        await self.raw(b"".join(frame.serialize() for frame in frames))

    async def _read(self, within: float) -> None:
        """Read and take one frame."""
        async with asyncio.timeout(within):
            try:
                frame, length = Frame.parse_frame_header(memoryview(await self._reader.readexactly(9)))
                frame.parse_body(memoryview(await self._reader.readexactly(length)))
            except (asyncio.IncompleteReadError, ConnectionError):
                self.closed = True
                return
        await self._take(frame)

    async def _take(self, frame: Frame) -> None:
        answer = self._answers.get(frame.stream_id, Answer())
        if isinstance(frame, SettingsFrame) and "ACK" not in frame.flags:
            self._resize(frame.settings.get(SettingsFrame.INITIAL_WINDOW_SIZE, self._first_window))
            await self._send(SettingsFrame(flags=["ACK"]))
        elif isinstance(frame, WindowUpdateFrame):
            self._windows[frame.stream_id] = self._windows.get(frame.stream_id, 0) + frame.window_increment
        elif isinstance(frame, PingFrame):
            await self._pinged(frame)
        elif isinstance(frame, GoAwayFrame):
            self.goaway = frame.error_code
        elif isinstance(frame, (HeadersFrame, ContinuationFrame)):
            self._block += frame.data
            if "END_HEADERS" in frame.flags:
                answer.headers.update(self._decoder.decode(self._block, raw=True))
                self._block = b""
        elif isinstance(frame, DataFrame):
            answer.data += frame.data
            if frame.flow_controlled_length:
                await self._send(WindowUpdateFrame(0, frame.flow_controlled_length))
        elif isinstance(frame, RstStreamFrame):
            answer.reset = frame.error_code
        answer.ended = answer.ended or "END_STREAM" in frame.flags or isinstance(frame, RstStreamFrame)

    async def _pinged(self, frame: PingFrame) -> None:
        if "ACK" in frame.flags:
            self.pongs += frame.opaque_data == b"testping"
        else:
            await self._send(PingFrame(0, frame.opaque_data, flags=["ACK"]))

    def _resize(self, window: int) -> None:
        for stream in self._windows:
            self._windows[stream] += window - self._first_window if stream else 0
        self._first_window = window


@contextlib.asynccontextmanager
async def connection(port: int, host: str = "127.0.0.1") -> AsyncGenerator[Connection]:
    """An open connection with its preface sent; closed without a word at the end."""
    async with asyncio.timeout(2):
        reader, writer = await asyncio.open_connection(host, port)
    client = Connection(reader, writer)
    try:
        await client.raw(PREFACE + SettingsFrame().serialize())
        yield client
    finally:
        client.close()


async def listening(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody accepts connections there."""
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    abandon(writer)
    return True


def abandon(writer: asyncio.StreamWriter) -> None:
    """Close a connection by RST: it leaves no TIME_WAIT behind."""
    held = writer.get_extra_info("socket")
    if held is not None:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
