"""What the tests of authentication share: keys that sign, a server that publishes them, a clock that is set by hand."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from banter_grpc.rpc.issuers import Algorithm, SubjectKind
from banter_grpc.rpc.keys import KeySet

ISSUER = "https://issuer.test"
AUDIENCE = "banter"
USER_ID = "0199f3b2-6b1c-7c3e-9d5a-5d0c8f2a4e10"
NOW = 1_800_000_000.0


@dataclass
class Clock:
    """A clock that stands still."""

    at: float = NOW

    def __call__(self) -> float:
        return self.at


@dataclass(frozen=True)
class Signer:
    """A private key, as an issuer has it."""

    kid: str | None
    algorithm: str
    private: Any

    def jwk(self, **changes: object) -> dict[str, object]:
        """The public key as it is published; a change to None leaves a member out."""
        maker = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}[self.algorithm]
        found = {**maker.to_jwk(self.private.public_key(), as_dict=True), "use": "sig", "alg": self.algorithm}
        found.pop("key_ops", None)
        found = {"kid": self.kid, **found, **changes}
        return {name: value for name, value in found.items() if value is not None}

    def token(self, *, header: Mapping[str, object] | None = None, **claims: object) -> str:
        """A token that is good at `NOW` but for the given changes; a claim of None is left out."""
        kid = {} if self.kid is None else {"kid": self.kid}
        return jwt.encode(good_claims(**claims), self.private, self.algorithm, headers={**kid, **(header or {})})


def good_claims(**changes: object) -> dict[str, object]:
    """Claims that are good at `NOW`, but for the changes; a claim of None is left out."""
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": USER_ID, "iat": int(NOW), "exp": int(NOW) + 3600, **changes}
    return {name: value for name, value in claims.items() if value is not None}


@cache
def signer(kid: str | None = "one", algorithm: str = "RS256") -> Signer:
    """The signer of this name; the same one each time."""
    private = {
        "RS256": lambda: rsa.generate_private_key(65537, 2048),
        "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate,
    }[algorithm]()
    return Signer(kid, algorithm, private)


def jwks(*keys: Signer | Mapping[str, object]) -> bytes:
    """A JWKS document."""
    return json.dumps({"keys": [key.jwk() if isinstance(key, Signer) else key for key in keys]}).encode()


def segment(value: object) -> str:
    """One segment of a token: JSON, or bytes as they are, in base64url."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass(frozen=True)
class Trust:
    """A trusted issuer whose keys the test holds in its hand."""

    keys: KeySet
    issuer: str = ISSUER
    audience: str = AUDIENCE
    algorithms: tuple[Algorithm, ...] = ("RS256",)
    subject: SubjectKind = "user_id"

    def key_set(self) -> KeySet:
        return self.keys


@dataclass
class Publisher:
    """An HTTP server on the loopback that publishes `document`; while `gate` is shut its answers wait."""

    document: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    asked: int = 0
    gate: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        publisher = self
        self.gate.set()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.asked += 1
                publisher.gate.wait(10)
                self.send_response(publisher.status)
                for name, value in publisher.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(publisher.document)))
                self.end_headers()
                self.wfile.write(publisher.document)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """A client that went away is no error of the test."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/keys"
