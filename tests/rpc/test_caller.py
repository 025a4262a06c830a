"""Who calls: from metadata to a caller."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

import pytest
from banter.v1 import options_pb2

from banter_grpc.errors import Refusal
from banter_grpc.rpc.caller import PUBLIC, Authenticator, CallerCache
from banter_grpc.rpc.errors import CODES
from banter_grpc.rpc.issuers import Algorithm
from banter_grpc.rpc.keys import JwksKeys
from banter_grpc.rpc.mint import DevKey, dev_issuers, mint
from banter_grpc.rpc.tokens import TokenVerifier
from tests.rpc.accounts import Accounts, account
from tests.rpc.signing import NOW, USER_ID, Clock, Trust, jwks, signer

OTHER_ID = "0199f3b2-6b1c-7c3e-9d5a-5d0c8f2a4e11"
KEY = DevKey(b"k" * 32)
USERS, SERVICES = dev_issuers(KEY)
FIREBASE = "https://securetoken.google.com/banter-app"


def _authenticator(accounts: Accounts, tmp_path: Path, algorithms: tuple[Algorithm, ...] = ("RS256",)) -> Authenticator:
    file = tmp_path / "keys.json"
    if not file.exists():
        file.write_bytes(jwks(signer("one")))
    firebase = Trust(JwksKeys(str(file), algorithms), FIREBASE, "banter-app", algorithms, "firebase_uid")
    verifier = TokenVerifier([USERS, SERVICES, firebase], now=Clock())
    return Authenticator(verifier, CallerCache(accounts, clock=Clock()))


def _bearer(token: str, **more: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}", **{name.replace("_", "-"): value for name, value in more.items()}}


def _user_token(subject: str = USER_ID) -> str:
    return mint(KEY, USERS.issuer, USERS.audience, subject, 60, now=Clock())


def _service_token(name: str = "gateway") -> str:
    return mint(KEY, SERVICES.issuer, SERVICES.audience, name, 60, now=Clock())


def _firebase_token(uid: str) -> str:
    return signer("one").token(iss=FIREBASE, aud="banter-app", sub=uid)


async def _refusal(authenticator: Authenticator, metadata: Mapping[str, str]) -> Refusal:
    with pytest.raises(Refusal) as refused:
        await authenticator.authenticate(metadata)
    assert refused.value.reason in CODES
    assert "\n" not in str(refused.value)
    return refused.value


async def test_without_credentials_the_caller_is_the_public(tmp_path: Path) -> None:
    accounts = Accounts()
    caller = await _authenticator(accounts, tmp_path).authenticate({"user-agent": "grpc"})
    assert caller is PUBLIC
    assert caller.kinds == {options_pb2.CALLER_KIND_PUBLIC}
    assert (caller.user_id, caller.role, caller.service, caller.actor_id) == (None, None, None, None)
    assert not caller.is_staff
    assert not caller.is_service
    assert not accounts.asked


KINDS = {"user": {"PUBLIC", "USER"}, "moderator": {"PUBLIC", "USER", "MODERATOR"}}
KINDS["admin"] = {*KINDS["moderator"], "ADMIN"}


@pytest.mark.parametrize("role", list(KINDS))
async def test_a_users_kinds_are_those_of_his_role_and_below(tmp_path: Path, role: str) -> None:
    authenticator = _authenticator(Accounts(account(role)), tmp_path)
    caller = await authenticator.authenticate(_bearer(_user_token()))
    assert (caller.user_id, caller.role, caller.service, caller.actor_id) == (USER_ID, role, None, USER_ID)
    assert caller.kinds == {options_pb2.CallerKind.Value(f"CALLER_KIND_{name}") for name in KINDS[role]}
    assert caller.is_staff == (role != "user")
    assert not caller.is_service


async def test_a_service_alone_acts_for_itself_under_an_id_that_never_changes(tmp_path: Path) -> None:
    accounts = Accounts()
    authenticator = _authenticator(accounts, tmp_path)
    caller = await authenticator.authenticate(_bearer(_service_token("gateway")))
    assert (caller.user_id, caller.role, caller.service) == (None, None, "gateway")
    assert caller.kinds == {options_pb2.CALLER_KIND_PUBLIC, options_pb2.CALLER_KIND_SERVICE}
    assert caller.is_service
    assert not caller.is_staff
    assert caller.actor_id == "8deb960e-ad58-5793-8901-eb588d7540c5"
    assert UUID(caller.actor_id).version == 5
    other = await authenticator.authenticate(_bearer(_service_token("billing")))
    assert other.actor_id != caller.actor_id
    assert not accounts.asked


async def test_a_service_that_acts_for_a_user_has_that_users_rights_and_no_more(tmp_path: Path) -> None:
    authenticator = _authenticator(Accounts(account("moderator")), tmp_path)
    caller = await authenticator.authenticate(_bearer(_service_token(), banter_on_behalf_of=USER_ID.upper()))
    alone = await authenticator.authenticate(_bearer(_user_token()))
    assert caller.kinds == alone.kinds
    assert (caller.user_id, caller.role, caller.service, caller.actor_id) == (USER_ID, "moderator", "gateway", USER_ID)
    assert caller.is_staff
    assert not caller.is_service


@pytest.mark.parametrize("value", ["", "zoe", USER_ID + "0", USER_ID.replace("-", ""), f"{USER_ID},{OTHER_ID}"])
async def test_a_service_must_name_a_user_by_his_id(tmp_path: Path, value: str) -> None:
    metadata = _bearer(_service_token(), banter_on_behalf_of=value)
    refusal = await _refusal(_authenticator(Accounts(account()), tmp_path), metadata)
    assert refusal.reason == "METADATA_INVALID"
    assert refusal.metadata == {"key": "banter-on-behalf-of"}
    assert str(refusal) == "metadata banter-on-behalf-of: must be a user's id, a UUID"


async def test_a_service_acts_for_nobody_who_is_unknown_or_inactive(tmp_path: Path) -> None:
    authenticator = _authenticator(Accounts(account(active=False)), tmp_path)
    metadata = _bearer(_service_token(), banter_on_behalf_of=USER_ID)
    assert (await _refusal(authenticator, metadata)).reason == "CALLER_INACTIVE"
    metadata = _bearer(_service_token(), banter_on_behalf_of=OTHER_ID)
    assert (await _refusal(authenticator, metadata)).reason == "CALLER_UNKNOWN"


async def test_only_a_service_may_act_for_others(tmp_path: Path) -> None:
    accounts = Accounts(account("admin"), account(user_id=OTHER_ID), zoe=account("admin"))
    authenticator = _authenticator(accounts, tmp_path)
    own = {"banter-on-behalf-of": USER_ID}
    for credentials in ({}, _bearer(_user_token()), _bearer(_firebase_token("zoe"))):
        for value in (OTHER_ID, USER_ID, ""):
            refusal = await _refusal(authenticator, {**credentials, **own, "banter-on-behalf-of": value})
            assert refusal.reason == "ON_BEHALF_OF_DENIED"
            assert str(refusal) == "only a service may send banter-on-behalf-of; leave it out"


async def test_a_user_is_found_by_his_firebase_uid(tmp_path: Path) -> None:
    authenticator = _authenticator(Accounts(Zk3fJ8aQ=account()), tmp_path)
    caller = await authenticator.authenticate(_bearer(_firebase_token("Zk3fJ8aQ")))
    assert (caller.user_id, caller.actor_id) == (USER_ID, USER_ID)


async def test_each_account_that_is_not_there_or_not_active_has_its_reason(tmp_path: Path) -> None:
    authenticator = _authenticator(Accounts(account(active=False), zoe=account(active=False)), tmp_path)
    said = {
        reason: str(await _refusal(authenticator, _bearer(token)))
        for reason, token in {
            "CALLER_INACTIVE": _user_token(),
            "CALLER_UNKNOWN": _user_token(OTHER_ID),
            "USER_NOT_LINKED": _firebase_token("nobody"),
        }.items()
    }
    assert said == {
        "CALLER_INACTIVE": "this account is deactivated; only support can reactivate it",
        "CALLER_UNKNOWN": "the account of this token does not exist; sign in again",
        "USER_NOT_LINKED": "no user is linked to this token's subject; link it with FindOrCreateUser",
    }
    assert (await _refusal(authenticator, _bearer(_firebase_token("zoe")))).reason == "CALLER_INACTIVE"


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic YTpi", "e30.e30.e30", "Bearer\te30.e30.", "Bearer a b"]
)
async def test_an_authorization_that_is_no_bearer_token_is_malformed(tmp_path: Path, header: str) -> None:
    refusal = await _refusal(_authenticator(Accounts(), tmp_path), {"authorization": header})
    assert refusal.reason == "TOKEN_INVALID"
    assert refusal.metadata == {"fault": "malformed"}


async def test_a_good_token_of_another_scheme_is_malformed(tmp_path: Path) -> None:
    authenticator = _authenticator(Accounts(account()), tmp_path)
    for scheme in ("Basic", "Token", ""):
        refusal = await _refusal(authenticator, {"authorization": f"{scheme} {_user_token()}"})
        assert refusal.metadata == {"fault": "malformed"}


async def test_the_scheme_may_be_written_in_any_case(tmp_path: Path) -> None:
    authenticator = _authenticator(Accounts(account()), tmp_path)
    for scheme in ("bearer", "BEARER", "Bearer "):
        caller = await authenticator.authenticate({"authorization": f"{scheme} {_user_token()}"})
        assert caller.user_id == USER_ID


async def test_a_token_that_can_not_be_used_is_refused_with_its_fault(tmp_path: Path) -> None:
    authenticator = _authenticator(Accounts(account()), tmp_path)
    foreign = mint(KEY, USERS.issuer, "elsewhere", USER_ID, 60, now=Clock())
    refusal = await _refusal(authenticator, _bearer(foreign))
    assert (refusal.reason, refusal.metadata) == ("TOKEN_INVALID", {"fault": "audience"})
    assert str(refusal) == "the token can't be used: its audience is not this service; ask for one for banter"
    forged = mint(DevKey(b"x" * 32), SERVICES.issuer, SERVICES.audience, "gateway", 60, now=Clock())
    refusal = await _refusal(authenticator, _bearer(forged, banter_on_behalf_of=USER_ID))
    assert (refusal.reason, refusal.metadata) == ("TOKEN_INVALID", {"fault": "signature"})


async def test_an_expired_token_is_refused_as_expired(tmp_path: Path) -> None:
    old = mint(KEY, USERS.issuer, USERS.audience, USER_ID, 60, now=Clock(NOW - 90))
    refusal = await _refusal(_authenticator(Accounts(account()), tmp_path), _bearer(old))
    assert refusal.reason == "TOKEN_EXPIRED"
    assert str(refusal) == "the token has expired; ask its issuer for a new one"


async def test_missing_keys_are_not_the_callers_fault(tmp_path: Path) -> None:
    tmp_path.joinpath("keys.json").mkdir()
    refusal = await _refusal(_authenticator(Accounts(), tmp_path), _bearer(_firebase_token("zoe")))
    assert (refusal.reason, refusal.retry_after) == ("KEYS_UNAVAILABLE", 1.0)
    assert str(refusal) == "the keys of the token's issuer can't be fetched; try again in 1 s"
