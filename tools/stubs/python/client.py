"""Calls a running server: client.py ADDRESS TOKEN PHONE_NUMBER, with a service's token."""

from __future__ import annotations

import sys

import grpc
from banter.v1 import user_pb2, user_pb2_grpc
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc import error_details_pb2, status_pb2

NOBODY = "01990a2b-5c1e-7d3f-8a4b-0123456789ab"


def main(address: str, token: str, phone_number: str) -> None:
    """Make the calls, and check their answers."""
    credentials = (("authorization", f"Bearer {token}"),)
    with grpc.insecure_channel(address) as channel:
        users = user_pb2_grpc.UserServiceStub(channel)
        asked = user_pb2.FindOrCreateUserRequest(phone_number=phone_number, full_name="Asha Rao")
        made = users.FindOrCreateUser(asked, metadata=credentials, timeout=10)
        assert made.created

        mask = FieldMask(paths=["full_name", "host_status"])
        request = user_pb2.GetUserRequest(user_id=made.user.user_id, read_mask=mask)
        user = users.GetUser(request, metadata=credentials, timeout=10).user
        assert (user.full_name, user.phone_number) == ("Asha Rao", "")
        assert user.host_status == user_pb2.HOST_STATUS_NONE

        try:
            users.GetUser(user_pb2.GetUserRequest(user_id=NOBODY), metadata=credentials, timeout=10)
        except grpc.RpcError as error:
            check(error)
        else:
            raise AssertionError("there is no such user, and the call found him")
    print("found or created, got, and was told USER_NOT_FOUND")


def check(error: grpc.RpcError) -> None:
    """The error says why it came."""
    assert isinstance(error, grpc.Call)
    assert error.code() is grpc.StatusCode.NOT_FOUND
    (raw,) = (each.value for each in error.trailing_metadata() if each.key == "grpc-status-details-bin")
    assert isinstance(raw, bytes)
    info = error_details_pb2.ErrorInfo()
    assert status_pb2.Status.FromString(raw).details[0].Unpack(info)
    assert (info.reason, info.metadata["user_id"]) == ("USER_NOT_FOUND", NOBODY)


if __name__ == "__main__":
    main(*sys.argv[1:])
