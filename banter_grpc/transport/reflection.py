"""Server reflection, v1 and v1alpha, by the library's own servicer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import grpc
import grpc.aio
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection import aio

_V1ALPHA = "grpc.reflection.v1alpha.ServerReflection"
_V1 = "grpc.reflection.v1.ServerReflection"


def reflection(services: Sequence[str]) -> Callable[[grpc.aio.Server], None]:
    """What adds reflection of the services, named in full, to a server.

    The library serves v1alpha only, and the messages of v1 are the same. The name of v1 is not among the reflected
    services: no descriptor is known for it, and clients that describe what is listed would fail.
    """
    servicer = aio.ReflectionServicer([*services, _V1ALPHA])

    def extend(server: grpc.aio.Server) -> None:
        handler = grpc.stream_stream_rpc_method_handler(
            servicer.ServerReflectionInfo,
            request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
            response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
        for name in (_V1ALPHA, _V1):
            server.add_registered_method_handlers(name, {"ServerReflectionInfo": handler})

    return extend
