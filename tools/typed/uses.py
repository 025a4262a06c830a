"""What a strict type checker has to know of the installed wheel. Each `ignore` is an error that it has to find."""

from typing import assert_type

import grpc
from banter.v1 import user_pb2, user_pb2_grpc
from banter.v1.client import BanterError, Violation, connect, error_of


async def uses(user_id: str) -> None:
    """Uses the stubs and the client as callers do."""
    async with connect("banter.internal:50051", token="...", timeout=2) as channel:
        users = user_pb2_grpc.UserServiceStub(channel)
        try:
            answer = await users.GetUser(user_pb2.GetUserRequest(user_id=user_id), timeout=1)
        except grpc.RpcError as error:
            found = error_of(error)
            assert_type(found, BanterError)
            assert_type(found.violations, tuple[Violation, ...])
            assert_type(found.retry_after, float | None)
            return
    assert_type(answer, user_pb2.GetUserResponse)
    assert_type(answer.user.full_name, str)
    print(answer.user.fullname)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType]
    user_pb2.GetUserRequest(user_id=17)  # pyright: ignore[reportArgumentType]
    connect(target="banter.internal:50051", timeout="soon")  # pyright: ignore[reportArgumentType]
