"""Guards in the statements of purchases and signup grants."""

from __future__ import annotations

from typing import Final

from tools.guards_list.guard import Guard, Text

_RACES: Final = "tests/rpc/test_wallet_locks.py::"
_WALLET: Final = "tests/rpc/test_wallet.py::TestPurchaseCoins::"
_QUERIES: Final = "banter_grpc/database/queries/wallet.py"

GUARDS: Final = (
    Guard(
        "PurchaseCoins: the wallet's lock",
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
