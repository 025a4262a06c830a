"""A published set of keys (JWKS, RFC 7517): where it is read from, and which of its keys may sign tokens."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK, PyJWTError

from banter_grpc.rpc.issuers import Algorithm

_MAX_BYTES = 1_000_000
_CHUNK_BYTES = 65_536
_RSA_BITS = range(2048, 8193)
_FITTING: Mapping[tuple[object, object], Algorithm] = {
    ("RSA", None): "RS256",
    ("EC", "P-256"): "ES256",
    ("OKP", "Ed25519"): "EdDSA",
}
"""The one algorithm of each type (`kty`) and curve (`crv`) of key."""


class JwksError(Exception):
    """No set of keys came of it; the text says why, in one line."""


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """One key that tokens may be signed with. The same object as long as its issuer keeps the key."""

    kid: str | None
    algorithm: Algorithm
    jwk: PyJWK
    content: tuple[object, ...]
    """What it is made of: two keys with the same content are the same key."""

    def signed(self, text: bytes, signature: bytes) -> bool:
        """Whether this key made the signature of the text, by its own algorithm, whatever a token says of it."""
        return self.jwk.Algorithm.verify(text, self.jwk.key, signature)


def read_jwks(source: str, algorithms: Collection[Algorithm], timeout: float) -> list[Key]:
    """The keys of the set at `source` that fit the algorithms; blocks for about `timeout` seconds at most.

    Raises `JwksError`. A set without a fitting key is a set all the same: its issuer has withdrawn them.
    """
    try:
        document = _download(source, timeout) if "://" in source else _read(source)
        return parse_jwks(document, algorithms)
    except urllib.error.HTTPError as error:
        error.close()
        raise JwksError(f"the answer is HTTP {error.code}") from None
    except urllib.error.URLError as error:
        raise JwksError(f"no answer ({error.reason})") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise JwksError(f"it can't be read ({error or type(error).__name__})") from None


def parse_jwks(document: bytes, algorithms: Collection[Algorithm]) -> list[Key]:
    """The keys of a JWKS document that fit the algorithms; raises `JwksError` if it is none.

    Keys that are not for signatures, of another type, too short or private (whoever reads them can sign) are left out.
    """
    try:
        parsed: object = json.loads(document.decode())
    except (ValueError, RecursionError):
        raise JwksError("it is no JSON document") from None
    members = cast("Mapping[str, object]", parsed).get("keys") if isinstance(parsed, dict) else None
    if not isinstance(members, list):
        raise JwksError("it is no JWKS document: it has no list `keys`")
    found = (_key(member) for member in cast("list[object]", members))
    return [key for key in found if key is not None and key.algorithm in algorithms]


def _key(member: object) -> Key | None:
    if not isinstance(member, dict):
        return None
    jwk = cast("dict[str, object]", member)
    kid, use, operations = jwk.get("kid"), jwk.get("use", "sig"), jwk.get("key_ops", ["verify"])
    try:
        algorithm = _FITTING.get((jwk.get("kty"), jwk.get("crv")))
        if algorithm is None or jwk.get("alg", algorithm) != algorithm or not isinstance(kid, str | None):
            return None
        if use != "sig" or not isinstance(operations, list) or "verify" not in operations or "d" in jwk:
            return None
        made = PyJWK.from_dict(jwk, algorithm)
    except (PyJWTError, TypeError, ValueError):
        return None
    if isinstance(made.key, RSAPublicKey) and made.key.key_size not in _RSA_BITS:
        return None
    return Key(kid, algorithm, made, (kid, *(str(jwk.get(name)) for name in ("kty", "n", "e", "crv", "x", "y"))))


def _download(url: str, timeout: float) -> bytes:
    deadline = time.monotonic() + timeout
    request = urllib.request.Request(url, headers={"accept": "application/json"})  # noqa: S310 - see check_source
    with _opener().open(request, timeout=timeout) as response:
        found = bytearray()
        while chunk := response.read1(_CHUNK_BYTES):
            found += chunk
            if len(found) > _MAX_BYTES:
                raise JwksError(f"it is longer than {_MAX_BYTES:,} bytes")
            if time.monotonic() > deadline:
                raise JwksError(f"it is not read within {timeout:g} s")
    return bytes(found)


def _opener() -> urllib.request.OpenerDirector:
    """Speaks http and https, and follows no redirect: it could lead from https to http, or anywhere."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _read(path: str) -> bytes:
    with Path(path).open("rb") as file:
        found = file.read(_MAX_BYTES + 1)
    if len(found) > _MAX_BYTES:
        raise JwksError(f"it is longer than {_MAX_BYTES:,} bytes")
    return found
