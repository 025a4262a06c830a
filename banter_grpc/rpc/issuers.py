"""Who is trusted to make tokens, as the settings name it. No key is read here, so nothing of cryptography is needed."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Algorithm = Literal["RS256", "ES256", "EdDSA", "HS256"]
"""What a token may be signed with. HS256 only with the key that ``banter dev`` makes."""

SubjectKind = Literal["user_id", "firebase_uid", "service"]
"""What the subject of an issuer's tokens is."""


def check_source(source: str) -> str:
    """The source, if it is an http(s) URL or a file's path; else raises `ValueError` in one line."""
    if "://" not in source and source:
        return source
    parts = urlsplit(source)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username is not None:
        raise ValueError("keys: must be an https URL or the path of a file, with a JWKS document in it")
    return source


class Issuer(BaseModel):
    """An issuer that publishes its keys. Never HS256: its key would be no secret.

    Firebase: issuer ``https://securetoken.google.com/PROJECT``, audience ``PROJECT``, subject ``firebase_uid``, keys
    ``https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(min_length=1, description="`iss` of its tokens, letter by letter")
    audience: str = Field(min_length=1, description="`aud` that its tokens must have")
    subject: SubjectKind = Field(description="what `sub` of its tokens is")
    keys: Annotated[str, AfterValidator(check_source)] = Field(description="URL or file of its JWKS document")
    algorithms: tuple[Literal["RS256", "ES256", "EdDSA"], ...] = Field(("RS256",), min_length=1)
