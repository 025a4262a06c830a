"""Rows and calls that show every query with all that it can return: what is null somewhere, and what never is."""

from __future__ import annotations

from typing import Final

from banter_grpc.database.queries import (
    caller,
    keys,
    user,
    user_accounts,
    user_activity,
    user_data,
    user_hosts,
    user_notifications,
    user_search,
    wallet,
    wallet_bonuses,
    wallet_ledger,
    wallet_refunds,
    wallet_statements,
    wallet_subscriptions,
    wallet_withdrawals,
)
from banter_grpc.database.statement import Step
from banter_grpc.ids import LAST_ID
from banter_grpc.ledger import CHECKS
from banter_grpc.values import FIRST_MICROS, LAST_MICROS

_NOBODY: Final = "00000000-0000-0000-0000-000000000000"
_FULL: Final = "00000000-0000-7000-8000-000000000001"
_BARE: Final = "00000000-0000-7000-8000-000000000002"
_DELETED: Final = "00000000-0000-7000-8000-000000000003"
_ADJUSTED: Final = "00000000-0000-7000-8000-000000000210"
_PAID: Final = "00000000-0000-7000-8000-000000000211"
_NEW: Final = "00000000-0000-7000-8000-000000000212"
_EVER: Final = {"before_time": LAST_MICROS, "before_id": LAST_ID, "count": 10}
_STATUSES: Final = ["pending", "approved", "paid"]
_BOUGHT: Final = "00000000-0000-7000-8000-000000000004"
_PAYMENT: Final = "00000000-0000-7000-8000-000000000005"
_RENEWAL: Final = "00000000-0000-7000-8000-000000000006"
_OTHER: Final = "00000000-0000-7000-8000-000000000007"
_PURCHASE: Final = "00000000-0000-7000-8000-000000000239"
_GIFT: Final = "00000000-0000-7000-8000-000000000240"
_REFUND: Final = "00000000-0000-7000-8000-000000000241"
_RETURNED: Final = "00000000-0000-7000-8000-000000000243"
_ADJUSTMENT: Final = "00000000-0000-7000-8000-000000000242"
_ALWAYS: Final = {"from_time": FIRST_MICROS, "until_time": LAST_MICROS}
_GREATEST: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"

ROWS: Final = f"""
INSERT INTO users (
    id, phone_number, country_code, full_name, email, username, avatar, bio, gender, birth_date, firebase_uid,
    timezone, create_time, update_time
) VALUES (
    '{_FULL}', '+919876543210', '+91', 'Full', 'full@example.com', 'full', 'https://example.com/a', 'bio', 'other',
    '2000-02-29', 'full', 'Asia/Kolkata', clock(), clock()
);
INSERT INTO users (id, phone_number, country_code, full_name, timezone, create_time, update_time)
VALUES ('{_BARE}', '+919876543211', '+91', 'Bare', 'Asia/Kolkata', clock(), clock());
INSERT INTO users (id, is_active, create_time, update_time, delete_time)
VALUES ('{_DELETED}', FALSE, clock(), clock(), clock());
SELECT post('00000000-0000-7000-8000-0000000000b1', 'bonus', '{_BARE}', NULL, '{_FULL}', ARRAY[
    ('{_BARE}', 'earnings', 7, 0)::leg, ('{_BARE}', 'promotions', -7, 0)::leg
]);
INSERT INTO presence (user_id, last_seen) VALUES ('{_FULL}', clock());
INSERT INTO hosts (user_id, rating_sum, rating_count, create_time) VALUES ('{_FULL}', 13, 3, clock());
INSERT INTO hosts (user_id, create_time) VALUES ('{_BARE}', clock());
INSERT INTO host_verifications (user_id, id, status, note, create_time, reviewer_id, review_note, review_time)
VALUES ('{_FULL}', '{_FULL}', 'approved', 'please', clock(), '{_BARE}', 'fine', clock());
INSERT INTO host_verifications (user_id, id, status, create_time) VALUES ('{_BARE}', '{_BARE}', 'pending', clock());
SELECT post('{_BOUGHT}', 'purchase', '{_FULL}', NULL, '{_FULL}', ARRAY[
    ('{_FULL}', 'coins', 1000, 0)::leg, ('{_FULL}', 'payment_provider', -1000, 0)::leg
]);
SELECT post('{_PAYMENT}', 'subscription', '{_FULL}', '{_FULL}', '{_FULL}', ARRAY[
    ('{_FULL}', 'coins', -299, 0)::leg, ('{_FULL}', 'platform_revenue', 299, 0)::leg
]);
WITH charged AS (
    INSERT INTO subscription_periods (
        user_id, place, subscription_id, plan_id, coins, transaction_id, anchor, months, number, end_time
    )
    SELECT '{_FULL}', 1, '{_FULL}', 'monthly', 299, '{_PAYMENT}', anchor, 1, 0, period_start(anchor, 1, 1)
    FROM (SELECT clock() - interval '40 days' AS anchor) AS started
    RETURNING user_id, subscription_id, plan_id, place, anchor, end_time
)
INSERT INTO subscriptions (user_id, id, plan_id, auto_renew, place, end_time, create_time, update_time)
SELECT user_id, subscription_id, plan_id, TRUE, place, end_time, anchor, anchor FROM charged;
INSERT INTO signing_keys (purpose, secret, create_time) VALUES ('pages', sha256('key'), clock());
INSERT INTO notifications (user_id, id, type, title, body, data, read_time, create_time)
VALUES ('{_FULL}', '{_FULL}', 'test.ping', 'Hello', '', '{{}}', clock(), clock()),
('{_FULL}', '{_BARE}', 'test.ping', 'Hello', '', '{{}}', NULL, clock());
INSERT INTO notification_sends (send_key, sent_count, missed_user_ids, create_time)
VALUES ('{_FULL}', 1, '{{}}', clock());
INSERT INTO user_activities (user_id, occur_time, id, type, data)
VALUES ('{_FULL}', clock(), '{_FULL}', 'test.ping', '{{}}');
INSERT INTO activity_totals (day, type, count) VALUES ('2026-01-01', 'test.ping', 1);
INSERT INTO activity_tallies (day, type, id, count) VALUES ('2026-01-01', 'test.ping', '{_FULL}', 1);
UPDATE users SET host_status = 'approved' WHERE id = '{_FULL}';
SELECT post(
    '{_ADJUSTED}', 'adjustment', '{_FULL}', NULL, '{_BARE}',
    ARRAY[('{_FULL}', 'earnings', 5000, 0)::leg, ('{_FULL}', 'promotions', -5000, 0)::leg]
);
SELECT post(
    '{_PAID}', 'withdrawal', '{_FULL}', '{_FULL}', '{_BARE}',
    ARRAY[('{_FULL}', 'earnings', -1000, 0)::leg, ('{_FULL}', 'payouts', 1000, 0)::leg]
);
INSERT INTO withdrawals (
    user_id, id, amount, status, create_time, reviewer_id, review_time, completer_id, end_time, transaction_id
) VALUES ('{_FULL}', '{_FULL}', 1000, 'paid', clock(), '{_BARE}', clock(), '{_BARE}', clock(), '{_PAID}');
INSERT INTO withdrawals (user_id, id, amount, create_time)
VALUES ('{_FULL}', '{_BARE}', 1000, clock()), ('{_FULL}', '{_DELETED}', 1000, clock());
INSERT INTO withdrawal_details (user_id, withdrawal_id, method, upi_id, note, payout_reference)
VALUES ('{_FULL}', '{_FULL}', 'upi', 'full@upi', 'well sung', 'UTR1');
INSERT INTO withdrawal_details (user_id, withdrawal_id, method, account_holder, account_number, bank_code)
VALUES ('{_FULL}', '{_BARE}', 'bank_account', 'Full', '1234', 'ABCD0123456');
SELECT post(
    '{_PURCHASE}', 'purchase', '{_BARE}', NULL, '{_BARE}',
    ARRAY[('{_BARE}', 'coins', 100, 0)::leg, ('{_BARE}', 'payment_provider', -100, 0)::leg]
);
SELECT post(
    '{_GIFT}', 'gift', '{_BARE}', NULL, '{_BARE}',
    ARRAY[
        ('{_BARE}', 'coins', -100, 0)::leg,
        ('{_FULL}', 'earnings', 60, 0)::leg,
        ('{_BARE}', 'platform_revenue', 40, 0)::leg
    ]
);
"""
"""For each table a row with every column, and one with no more than it must have."""

CALLS: Final[list[Step[object]]] = [
    user.get_user(user_id=_FULL),
    user.get_user(user_id=_BARE),
    user.get_user(user_id=_DELETED),
    user.get_user_by_phone_number(phone_number="+919876543210"),
    user.get_user_by_phone_number(phone_number="+919876543211"),
    user.batch_get_users(user_ids=[_FULL, _BARE, _DELETED]),
    user.find_first_user(),
    user_hosts.lock_host_status(user_id=_FULL),
    user_hosts.get_newest_host_verification(user_id=_FULL),
    user_hosts.get_newest_host_verification(user_id=_BARE),
    user_hosts.list_hosts(as_of=0, online_rating=501, online_id=_FULL, other_rating=501, other_id=_FULL, page_limit=3),
    user_accounts.get_user_by_username(username="Full"),
    user_accounts.get_user_by_firebase_uid(firebase_uid="full"),
    user_accounts.list_users(
        roles=["user"],
        host_statuses=["none"],
        states=["active", "deactivated", "deleted"],
        from_time=0,
        before_time=10**17,
        before_id=_NOBODY,
        skip=0,
        page_limit=10,
    ),
    user_accounts.count_users(),
    user_accounts.count_premium_users(),
    user_search.search_users(query="fu", sought="", after_word="", after_id=_NOBODY, page_limit=10),
    user_search.search_users(query="bare", sought="", after_word="", after_id=_NOBODY, page_limit=10),
    caller.find_caller_by_user_id(user_id=_FULL),
    caller.find_caller_by_firebase_uid(firebase_uid="full"),
    wallet.get_wallet(user_id=_FULL),
    wallet.purchase_coins(provider="p", payment_id="1", user_id=_FULL, coins=5, transaction_id=_FULL, actor_id=_BARE),
    *[wallet_withdrawals.get_withdrawal(user_id=_FULL, withdrawal_id=id_) for id_ in (_FULL, _BARE, _DELETED)],
    wallet_withdrawals.list_withdrawals(user_id=_FULL, statuses=_STATUSES, **_EVER),
    wallet_withdrawals.list_withdrawals_by_status(status="paid", **_EVER),
    wallet_withdrawals.request_withdrawal(
        user_id=_FULL,
        request_id=_FULL,
        fingerprint="00" * 32,
        withdrawal_id=_NEW,
        amount=1000,
        minimum=1000,
        method="upi",
        upi_id="full@upi",
        account_holder=None,
        account_number=None,
        bank_code=None,
    ),
    wallet_bonuses.award_bonus(
        user_id=_FULL,
        rule="most-minutes",
        period="2026-W47",
        coins=50,
        transaction_id=_NEW,
        actor_id=_BARE,
    ),
    wallet_bonuses.list_bonuses(user_id=_FULL, **_EVER),
    user_data.export_host_bonuses(user_id=_FULL),
    wallet.purchase_coins(provider="p", payment_id="2", user_id=_BARE, coins=999, transaction_id=_BARE, actor_id=_BARE),
    wallet_subscriptions.subscribe(
        user_id=_BARE,
        request_id=_FULL,
        fingerprint="00" * 32,
        transaction_id=_OTHER,
        subscription_id=_BARE,
        plan_id="monthly",
    ),
    wallet_subscriptions.list_due_subscriptions(most=10),
    wallet_subscriptions.renew_subscription(
        user_id=_FULL, subscription_id=_FULL, place=1, transaction_id=_RENEWAL, actor_id=_FULL
    ),
    wallet_subscriptions.get_subscription(user_id=_FULL),
    wallet_refunds.refund_transaction(
        user_id=_BARE,
        transaction_id=_OTHER,
        coins=None,
        note="bought by mistake",
        refund_id=_RETURNED,
        actor_id=_FULL,
        request_id=_RETURNED,
        fingerprint="00" * 32,
    ),
    wallet_subscriptions.end_refunded_period(transaction_id=_OTHER),
    user_data.export_refunds(user_id=_BARE),
    user_data.export_transaction_notes(user_id=_BARE),
    wallet_subscriptions.get_subscription(user_id=_BARE),
    wallet_refunds.refund_transaction(
        user_id=_BARE,
        transaction_id=_GIFT,
        coins=50,
        note="not what was meant",
        refund_id=_REFUND,
        actor_id=_FULL,
        request_id=_REFUND,
        fingerprint="00" * 32,
    ),
    wallet_refunds.adjust_balance(
        user_id=_BARE,
        kind="coins",
        amount=50,
        note="a prize that was won",
        transaction_id=_ADJUSTMENT,
        actor_id=_FULL,
        request_id=_ADJUSTMENT,
        fingerprint="00" * 32,
    ),
    wallet_statements.list_transactions(user_id=_BARE, wallet="coins", kinds=["gift", "refund"], before=9, count=9),
    wallet_statements.get_transaction_stats(user_id=_BARE, wallet="coins", **_ALWAYS),
    wallet_statements.list_earnings(user_id=_FULL, before_time=LAST_MICROS, before_id=LAST_ID, count=9),
    wallet_statements.get_earnings_summary(user_id=_FULL, **_ALWAYS),
    keys.get_signing_key(purpose="pages"),
    user_data.get_end(user_id=_DELETED),
    user_data.get_end(user_id=_FULL),
    user_data.export_users(user_id=_FULL),
    user_data.export_wallets(user_id=_FULL),
    user_data.export_withdrawals(user_id=_FULL),
    user_data.export_subscriptions(user_id=_FULL),
    user_data.export_subscription_periods(user_id=_FULL),
    user_data.export_withdrawal_details(user_id=_FULL),
    user_data.export_presence(user_id=_FULL),
    user_data.export_hosts(user_id=_FULL),
    user_data.export_host_verifications(user_id=_FULL),
    user_data.export_notifications(user_id=_FULL),
    user_data.export_user_activities(user_id=_FULL),
    wallet.purge_idempotency_keys(at_most=1),
    user_data.export_transactions(user_id=_FULL),
    user_data.export_entries(user_id=_FULL),
    user_data.export_payments(user_id=_FULL),
    user_data.export_earnings(user_id=_BARE),
    user_activity.get_activity_stats(after_day="2026-01-01", after_type="", last_day="2026-01-01", at_most=2),
    user_activity.fold_activity_tallies(at_most=1),
    user_activity.make_activity_partitions(),
    user_activity.drop_activity_partitions(),
    user_activity.record_activities(user_id=_FULL, ids=[], occur_times=[], types=[], data=[], tally_id=_FULL),
    user_notifications.list_notifications(user_id=_FULL, before_id=_DELETED, at_most=2),
    user_notifications.list_unread_notifications(user_id=_FULL, before_id=_DELETED, at_most=2),
    user_notifications.count_unread_notifications(user_id=_FULL),
    user_notifications.get_notification_send(send_key=_FULL),
    user_notifications.send_notifications(
        send_key=None, ids=[_DELETED], user_ids=[_FULL], types=["test.ping"], titles=["Hello"], bodies=[""], data=["{}"]
    ),
    *[check.query(after=[_FULL, *check.start], until=_GREATEST, most=2) for check in CHECKS],
    wallet_ledger.list_heads(after=[_FULL, ""], most=2),
    wallet_ledger.verify_heads(
        user_ids=[_FULL, _BARE], accounts=["coins", "coins"], versions=[1, 99], digests=["00", "00"]
    ),
    wallet_ledger.estimate_rows(names=["wallets"]),
    wallet_ledger.find_anybody(user_id=_DELETED),
]
"""Each query that returns rows at least once, and so often that each of its columns that may be null is."""
