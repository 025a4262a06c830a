"""Guards in the statements of purchases, signup grants, requests that name themselves, and what the erased leave."""

from __future__ import annotations

from typing import Final

from tools.guards_list.guard import Guard, Text, out_of

_RACES: Final = "tests/rpc/test_wallet_locks.py::"
_WALLET: Final = "tests/rpc/test_wallet.py::TestPurchaseCoins::"
_DELETES: Final = "tests/rpc/test_user_data.py::TestDeleteUser::"
_TURNS: Final = "tests/rpc/test_wallet_turns.py::"
_LOCKS: Final = """            wallet_queries.lock_wallet(user_id=user_id, kind="{}"),
            wallet_queries.lock_wallet(user_id=user_id, kind="{}"),
"""
_QUERIES: Final = "banter_grpc/database/queries/wallet.py"

_CREDITED: Final = (
    Guard(
        "lock_wallet: it locks",
        Text(_QUERIES, "FOR NO KEY UPDATE\n", ""),
        (f"{_RACES}test_purchases_of_one_user_follow_each_other",),
    ),
    Guard(
        "PurchaseCoins: the user lives",
        Text(
            _QUERIES,
            "    FROM wallets\n    INNER JOIN living_users ON wallets.user_id = living_users.user_id\n",
            "    FROM wallets\n",
        ),
        (f"{_RACES}test_who_was_erased_is_not_credited",),
    ),
    Guard(
        "PurchaseCoins: not credited before",
        Text(_QUERIES, "        AND NOT EXISTS (SELECT FROM prior)\n", ""),
        (f"{_WALLET}test_fifty_of_one_payment_at_once_credit_it_once_and_answer_alike",),
    ),
    Guard(
        "PurchaseCoins: the payment is noted",
        Text(
            _QUERIES,
            "        transaction_id\n    FROM posted\n)",
            "        transaction_id\n    FROM posted\n    LIMIT 0\n)",
        ),
        (f"{_WALLET}test_fifty_of_one_payment_at_once_credit_it_once_and_answer_alike",),
    ),
    Guard(
        "PurchaseCoins: who loses at a key looks again",
        Text(_QUERIES, '    collides=("payments_pkey", "transactions_pkey"),\n', ""),
        (f"{_RACES}test_one_payment_for_many_users_credits_one_and_refuses_the_others",),
    ),
    Guard(
        "PurchaseCoins: it is the same payment",
        Text(
            "banter_grpc/handlers/wallet.py",
            "(row.user_id, row.coins) != (request.user_id.lower(), request.coins)",
            "False",
        ),
        (
            f"{_WALLET}test_a_payment_that_was_credited_otherwise_is_refused[user]",
            f"{_WALLET}test_a_payment_that_was_credited_otherwise_is_refused[coins]",
        ),
    ),
    Guard(
        "FindOrCreateUser: the number had no grant",
        Text(_QUERIES, "FROM granted\n", "FROM users WHERE id = $2::uuid\n"),
        (f"{_RACES}test_a_phone_number_has_its_grant_once_whoever_comes_with_it_later",),
    ),
)

_LOCKED: Final = out_of(
    "banter_grpc/handlers/wallet.py",
    (
        "PurchaseCoins: the wallet's lock",
        'lock_wallet(user_id=request.user_id, kind="coins")',
        'lock_wallet(user_id=request.user_id, kind="")',
        f"{_TURNS}TestWaiting::test_a_purchase_is_added_to_what_is_there",
    ),
)

_LEFT: Final = (
    *out_of(
        "banter_grpc/handlers/user_data.py",
        (
            "DeleteUser: the lock of coins",
            _LOCKS.format("coins", "earnings"),
            _LOCKS.format("", "earnings"),
            f"{_TURNS}TestWaiting::test_who_goes_forfeits_what_is_left[coins]",
        ),
        (
            "DeleteUser: the lock of earnings",
            _LOCKS.format("coins", "earnings"),
            _LOCKS.format("coins", ""),
            f"{_TURNS}TestWaiting::test_who_goes_forfeits_what_is_left[earnings]",
        ),
        (
            "DeleteUser: it locks in the order of all",
            _LOCKS.format("coins", "earnings"),
            _LOCKS.format("earnings", "coins"),
            f"{_TURNS}TestOrder::test_who_goes_has_his_wallets_locked_in_order",
        ),
    ),
    *out_of(
        _QUERIES,
        (
            "DeleteUser: nothing is held",
            "        AND coins.held + earnings.held = 0\n",
            "",
            f"{_DELETES}test_what_is_held_keeps_him[earnings-WITHDRAWAL_OPEN]",
        ),
        (
            "DeleteUser: something is left",
            "        AND coins.balance + earnings.balance > 0\n",
            "",
            f"{_DELETES}test_who_has_nothing_forfeits_nothing",
        ),
        (
            "DeleteUser: he gives his earnings up",
            "        AND (earnings.balance = 0 OR $2::boolean)\n",
            "        AND $2::boolean IS NOT NULL\n",
            f"{_DELETES}test_earnings_keep_him_unless_he_gives_them_up",
        ),
        (
            "DeleteUser: he lives, who forfeits",
            "    FROM living_users\n    INNER JOIN wallets AS coins",
            "    FROM users AS living_users (user_id)\n    INNER JOIN wallets AS coins",
            f"{_TURNS}TestErased::test_he_gets_no_bonus_and_forfeits_nothing_any_more",
        ),
    ),
    *out_of(
        "banter_grpc/database/queries/user_data.py",
        (
            "DeleteUser: nothing is left",
            "wallets.user_id = users.id AND wallets.balance > 0",
            "FALSE",
            f"{_DELETES}test_earnings_keep_him_unless_he_gives_them_up",
        ),
        (
            "DeleteUser: once",
            "    AND delete_time IS NULL\n    AND NOT EXISTS",
            "    AND NOT EXISTS",
            f"{_DELETES}test_deleting_again_changes_nothing",
        ),
    ),
)

_ASKED: Final = out_of(
    "banter_grpc/money.py",
    (
        "request_id: the same request",
        "if row.fingerprint != asked:",
        "if False:",
        "tests/rpc/test_wallet_withdrawals.py::TestRequestWithdrawal::test_a_request_id_is_good_for_one_request",
    ),
)

GUARDS: Final = (*_CREDITED, *_LOCKED, *_ASKED, *_LEFT)
