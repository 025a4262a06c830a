"""One valid request for every RPC, so that tests that walk the contract can call each of them."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Awaitable, Callable

from banter.v1 import user_pb2, wallet_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from tests.support.harness import Running, new_phone_number

_COUNT = itertools.count()

REQUESTS: dict[str, Callable[[str], Message]] = {
    "banter.v1.UserService.FindOrCreateUser": lambda _: user_pb2.FindOrCreateUserRequest(
        phone_number=new_phone_number(), full_name="Asha Rao"
    ),
    "banter.v1.UserService.GetUser": lambda user_id: user_pb2.GetUserRequest(user_id=user_id),
    "banter.v1.UserService.BatchGetUsers": lambda user_id: user_pb2.BatchGetUsersRequest(user_ids=[user_id]),
    "banter.v1.UserService.LookupUser": lambda user_id: user_pb2.LookupUserRequest(username=_username(user_id)),
    "banter.v1.UserService.UpdateUser": lambda user_id: user_pb2.UpdateUserRequest(
        user=user_pb2.User(user_id=user_id, bio=f"version {next(_COUNT)}", timezone="Asia/Kolkata")
    ),
    "banter.v1.UserService.DeleteUser": lambda user_id: user_pb2.DeleteUserRequest(user_id=user_id),
    "banter.v1.UserService.ExportUserData": lambda user_id: user_pb2.ExportUserDataRequest(user_id=user_id),
    "banter.v1.WalletService.GetWallet": lambda user_id: wallet_pb2.GetWalletRequest(user_id=user_id),
    "banter.v1.WalletService.PurchaseCoins": lambda user_id: wallet_pb2.PurchaseCoinsRequest(
        user_id=user_id, provider="tests", payment_id=f"{user_id}/{next(_COUNT)}", coins=10
    ),
    "banter.v1.UserService.RecordActivities": lambda user_id: user_pb2.RecordActivitiesRequest(
        user_id=user_id,
        activities=[user_pb2.NewActivity(type="test.ping", occur_time=Timestamp(seconds=int(time.time())))],
    ),
    "banter.v1.UserService.GetActivityStats": lambda _: user_pb2.GetActivityStatsRequest(
        start_date="2026-01-01", end_date="2026-12-31"
    ),
    "banter.v1.UserService.ListNotifications": lambda _: user_pb2.ListNotificationsRequest(unread_only=True),
    "banter.v1.UserService.CountUnreadNotifications": lambda _: user_pb2.CountUnreadNotificationsRequest(),
    "banter.v1.UserService.MarkNotificationsRead": lambda _: user_pb2.MarkNotificationsReadRequest(all=True),
    "banter.v1.UserService.DeleteNotifications": lambda _: user_pb2.DeleteNotificationsRequest(
        ids=user_pb2.NotificationIds(notification_ids=[str(uuid.uuid4())])
    ),
    "banter.v1.UserService.SendNotifications": lambda user_id: user_pb2.SendNotificationsRequest(
        notifications=[user_pb2.NewNotification(user_id=user_id, type="test.ping", title="Hello")],
        request_id=str(uuid.uuid4()),
    ),
    "banter.v1.UserService.Heartbeat": lambda _: user_pb2.HeartbeatRequest(),
    "banter.v1.UserService.RequestHostVerification": lambda _: user_pb2.RequestHostVerificationRequest(note="I sing."),
    "banter.v1.UserService.ReviewHostVerification": lambda user_id: user_pb2.ReviewHostVerificationRequest(
        user_id=user_id, decision=user_pb2.HOST_STATUS_REJECTED
    ),
    "banter.v1.UserService.SetHostRates": lambda user_id: user_pb2.SetHostRatesRequest(user_id=user_id, audio_rate=10),
    "banter.v1.UserService.ListHosts": lambda _: user_pb2.ListHostsRequest(page_size=5),
    "banter.v1.UserService.SearchUsers": lambda _: user_pb2.SearchUsersRequest(query="asha ra"),
    "banter.v1.UserService.ListUsers": lambda _: user_pb2.ListUsersRequest(),
    "banter.v1.UserService.DeactivateUser": lambda user_id: user_pb2.DeactivateUserRequest(user_id=user_id),
    "banter.v1.UserService.ReactivateUser": lambda user_id: user_pb2.ReactivateUserRequest(user_id=user_id),
    "banter.v1.UserService.GetUserStats": lambda _: user_pb2.GetUserStatsRequest(),
    "banter.v1.WalletService.RequestWithdrawal": lambda _: wallet_pb2.RequestWithdrawalRequest(
        request_id=str(uuid.uuid4()), amount=1000, payout_details=wallet_pb2.PayoutDetails(upi_id="asha@okbank")
    ),
    "banter.v1.WalletService.CancelWithdrawal": lambda _: wallet_pb2.CancelWithdrawalRequest(
        withdrawal_id=str(uuid.uuid4())
    ),
    "banter.v1.WalletService.ListWithdrawals": lambda user_id: wallet_pb2.ListWithdrawalsRequest(user_id=user_id),
    "banter.v1.WalletService.ReviewWithdrawal": lambda user_id: wallet_pb2.ReviewWithdrawalRequest(
        user_id=user_id, withdrawal_id=str(uuid.uuid4()), status=wallet_pb2.WITHDRAWAL_STATUS_APPROVED
    ),
    "banter.v1.WalletService.CompleteWithdrawal": lambda user_id: wallet_pb2.CompleteWithdrawalRequest(
        user_id=user_id, withdrawal_id=str(uuid.uuid4()), status=wallet_pb2.WITHDRAWAL_STATUS_FAILED
    ),
    "banter.v1.WalletService.AwardBonus": lambda user_id: wallet_pb2.AwardBonusRequest(
        user_id=user_id, rule=f"rule-{next(_COUNT)}", period="2026-W47", coins=10
    ),
    "banter.v1.WalletService.ListBonuses": lambda user_id: wallet_pb2.ListBonusesRequest(user_id=user_id),
    "banter.v1.WalletService.Subscribe": lambda _: wallet_pb2.SubscribeRequest(
        plan_id="monthly", request_id=str(uuid.uuid4())
    ),
    "banter.v1.WalletService.CancelSubscription": lambda _: wallet_pb2.CancelSubscriptionRequest(),
    "banter.v1.WalletService.GetSubscription": lambda user_id: wallet_pb2.GetSubscriptionRequest(user_id=user_id),
    "banter.v1.WalletService.ListTransactions": lambda user_id: wallet_pb2.ListTransactionsRequest(user_id=user_id),
    "banter.v1.WalletService.GetTransactionStats": lambda user_id: wallet_pb2.GetTransactionStatsRequest(
        user_id=user_id
    ),
    "banter.v1.WalletService.ListEarnings": lambda user_id: wallet_pb2.ListEarningsRequest(user_id=user_id),
    "banter.v1.WalletService.GetEarningsSummary": lambda user_id: wallet_pb2.GetEarningsSummaryRequest(user_id=user_id),
    "banter.v1.WalletService.RefundTransaction": lambda user_id: wallet_pb2.RefundTransactionRequest(
        request_id=str(uuid.uuid4()), user_id=user_id, transaction_id=str(uuid.uuid4()), reason="not what was meant"
    ),
    "banter.v1.WalletService.AdjustBalance": lambda user_id: wallet_pb2.AdjustBalanceRequest(
        request_id=str(uuid.uuid4()),
        user_id=user_id,
        wallet=wallet_pb2.WALLET_KIND_COINS,
        amount=10,
        reason="a prize that was won",
    ),
    "banter.v1.WalletService.VerifyLedger": lambda user_id: wallet_pb2.VerifyLedgerRequest(user_id=user_id),
}
"""By the RPC's full name, what makes a request about the user of an id. A new RPC needs one here."""

ENDING = frozenset({"banter.v1.UserService.DeactivateUser", "banter.v1.UserService.DeleteUser"})
"""RPCs after which the user whom they are about can't call any more."""


async def prepare(banter: Running, user_id: str) -> None:
    """Give a user what the requests about him take for granted."""
    await banter.set_columns(user_id, username=_username(user_id))


async def _not_approved(banter: Running, user_id: str) -> str:
    await banter.execute("UPDATE users SET host_status = 'none' WHERE id = %s", user_id)
    return user_id


async def _approved(banter: Running, user_id: str) -> str:
    await banter.execute("UPDATE users SET host_status = 'approved' WHERE id = %s", user_id)
    return user_id


async def _applicant(banter: Running, _: str) -> str:
    user_id = (await banter.new_user(host_status="pending")).user_id
    await banter.execute(
        "INSERT INTO host_verifications (user_id, id, status, create_time)"
        " SELECT %s, gen_random_uuid(), 'pending', clock()",
        user_id,
    )
    return user_id


PREPARATIONS: dict[str, Callable[[Running, str], Awaitable[str]]] = {
    "banter.v1.UserService.RequestHostVerification": _not_approved,
    "banter.v1.UserService.ReviewHostVerification": _applicant,
    "banter.v1.UserService.SetHostRates": _approved,
}
"""What has to be so before the request succeeds; gives the id of the user whom it is then about."""


def unprepared(method: MethodDescriptor, user_id: str) -> Message:
    """A valid request of a method, about a user, whatever the state of things lets come of it."""
    return REQUESTS[method.full_name](user_id)


async def request_for(banter: Running, method: MethodDescriptor, user_id: str) -> Message:
    """A valid request of a method, about a user, or about another one where the method needs it."""
    prepare = PREPARATIONS.get(method.full_name)
    return unprepared(method, await prepare(banter, user_id) if prepare else user_id)


def _username(user_id: str) -> str:
    return f"u_{user_id[-20:].replace('-', '_')}"
