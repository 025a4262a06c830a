"""Tokens of our own, for development: the key that ``banter dev`` makes, and what is signed with it."""

from __future__ import annotations

import hmac
import os
import secrets
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import jwt

from banter_grpc.foreseen import ForeseenError
from banter_grpc.rpc.keys import SharedKey
from banter_grpc.rpc.tokens import TrustedIssuer

DEV_AUDIENCE = "banter"
DEV_ISSUER = "banter-dev"
DEV_SERVICE_ISSUER = "banter-dev-service"

_KEY_BYTES = 32


class DevKeyError(ForeseenError):
    """The key's file can't be used; the text says why and what to do, in one line."""


@dataclass(frozen=True, slots=True, repr=False)
class DevKey:
    """The secret of a development server."""

    secret: bytes

    @classmethod
    def load_or_create(cls, path: Path) -> DevKey:
        """The key in the file, which is made where it is missing; raises `DevKeyError`.

        Processes that start at once get the same key.
        """
        try:
            if not path.exists():
                _create(path)
            return cls(_read(path))
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise DevKeyError(f"the key {path} can't be used ({why}); choose a folder that you may write to") from None

    def derive(self, purpose: str) -> str:
        """Another secret, for another purpose: always the same one, in hex."""
        return hmac.new(self.secret, purpose.encode(), "sha256").hexdigest()


def dev_issuers(key: DevKey) -> tuple[TrustedIssuer, TrustedIssuer]:
    """The issuer of users' tokens, and the issuer of services'."""

    def keys() -> SharedKey:
        return SharedKey(key.secret)

    return (
        TrustedIssuer(DEV_ISSUER, DEV_AUDIENCE, "user_id", ["HS256"], keys),
        TrustedIssuer(DEV_SERVICE_ISSUER, DEV_AUDIENCE, "service", ["HS256"], keys),
    )


def mint(
    key: DevKey, issuer: str, audience: str, subject: str, ttl: float, *, now: Callable[[], float] = time.time
) -> str:
    """A token signed with the key (HS256), good from now for `ttl` seconds."""
    issued = int(now())
    claims = {"iss": issuer, "aud": audience, "sub": subject, "iat": issued, "exp": issued + max(1, round(ttl))}
    return jwt.encode(claims, key.secret, algorithm="HS256")


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise DevKeyError(f"the key {path} is open to other accounts; run: chmod 600 '{path}'")
        secret = file.read(_KEY_BYTES + 1)
    if len(secret) != _KEY_BYTES:
        raise DevKeyError(f"the key {path} is damaged; delete it, and a new one is made")
    return secret


def _create(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secrets.token_bytes(_KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    try:
        # A link, unlike a rename, leaves the key alone that a quicker process has put there.
        with suppress(FileExistsError):
            os.link(new, path)
    finally:
        new.unlink()
