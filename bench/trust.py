"""An issuer of the bench's own, whose keys the service reads from a file, as it does in production."""

from __future__ import annotations

import json
import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

_ISSUER, _AUDIENCE, _KID = "https://bench.invalid", "banter", "bench"
_SECONDS = 24 * 3600


class Trust:
    """A key, with its public half in the file `jwks`."""

    def __init__(self, jwks: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._jwks = jwks
        public = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        jwks.write_text(json.dumps({"keys": [{**public, "kid": _KID, "alg": "ES256", "use": "sig"}]}))

    @property
    def issuers(self) -> str:
        """The setting by which a service trusts us."""
        issuer = {
            "issuer": _ISSUER,
            "audience": _AUDIENCE,
            "subject": "service",
            "keys": str(self._jwks),
            "algorithms": ["ES256"],
        }
        return json.dumps([issuer])

    def token(self) -> str:
        """A service's token, good for a day."""
        now = int(time.time())
        claims = {"iss": _ISSUER, "aud": _AUDIENCE, "sub": "bench", "iat": now, "exp": now + _SECONDS}
        return jwt.encode(claims, self._key, algorithm="ES256", headers={"kid": _KID})
