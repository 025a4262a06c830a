"""What `banter dev` says when it is ready: lines to read, and lines to paste."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from banter_grpc.database.queries.user import Profile
from banter_grpc.rpc.mint import DEV_AUDIENCE, DEV_ISSUER, DevKey, mint

_TTL_DAYS = 30
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "[::]": "[::1]"}  # noqa: S104 - said, not listened on


class Person(NamedTuple):
    """Somebody to call as."""

    profile: Profile
    token: str


def with_token(profile: Profile, key: DevKey) -> Person:
    """The person, with a token that is good for a while."""
    return Person(profile, mint(key, DEV_ISSUER, DEV_AUDIENCE, profile.user_id, _TTL_DAYS * 86400))


@dataclass(frozen=True, slots=True)
class Banner:
    """Host and port as listened on, the database in words, and whom to call as."""

    host: str
    port: int
    database: str
    people: Sequence[Person]
    in_checkout: bool

    def lines(self) -> list[str]:
        """All of it, without line ends."""
        found = [
            "",
            "banter dev is ready; Ctrl-C stops it.",
            "",
            f"  address   {self._address()}  (gRPC without TLS, reflection on)",
            f"  database  {self.database}",
        ]
        found += [
            f"  {who.role:<9} {who.full_name}, {who.phone_number}, user_id {who.user_id}" for who, _ in self.people
        ]
        found.append("")
        if not self.people:
            return [*found, "This database has users of its own: banter token --phone PHONE prints a token.", ""]
        for who, token in self.people:
            found += [f"Token of the {who.role}, good for {_TTL_DAYS} days:", f"  {token}"]
        found += ["", "Paste one of these into another terminal:"]
        for person in self.people:
            found += [f"  {line}" for line in self._calls(*person)]
        return [*found, ""]

    def _calls(self, who: Profile, token: str) -> list[str]:
        """A call that this person may make, by either tool."""
        if who.role == "admin":
            method, body = "FindOrCreateUser", '{"phone_number":"+91 98765 00001"}'
        else:
            method, body = "GetUser", f'{{"user_id":"{who.user_id}"}}'
        given = f"""-H "authorization: Bearer {token}" -d '{body}'"""
        buf = "uv run buf" if self.in_checkout else "buf"
        address = self._address()
        return [
            f"{buf} curl --protocol grpc --http2-prior-knowledge {given} http://{address}/banter.v1.UserService/{method}",
            f"grpcurl -plaintext {given} {address} banter.v1.UserService/{method}",
        ]

    def _address(self) -> str:
        host = _EVERYWHERE.get(self.host, self.host)
        return f"[{host}]:{self.port}" if ":" in host and not host.startswith("[") else f"{host}:{self.port}"
