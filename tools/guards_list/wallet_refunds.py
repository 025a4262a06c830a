"""Guards in the statements of refunds and corrections."""

from __future__ import annotations

from typing import Final

from tools.guards_list.guard import out_of

_HANDLER: Final = "banter_grpc/handlers/wallet_refunds.py"
_QUERIES: Final = "banter_grpc/database/queries/wallet_refunds.py"
_TURNS: Final = "tests/rpc/test_wallet_turns.py::"
_RACES: Final = "tests/rpc/test_wallet_refund_races.py::"
_REFUNDS: Final = "tests/rpc/test_wallet_refunds.py::TestRefundTransaction::"
_ADJUSTS: Final = "tests/rpc/test_wallet_adjustments.py::TestAdjustBalance::"
_REFUND_REFUSED: Final = f"{_REFUNDS}test_it_is_refused_with_its_reason_and_changes_nothing"
_ADJUST_REFUSED: Final = f"{_ADJUSTS}test_it_is_refused_with_its_reason_and_changes_nothing"
_ASKED: Final = "    SELECT ${}::uuid AS user_id\n    WHERE "
_NO_PRIOR: Final = "NOT EXISTS (SELECT FROM prior)"
_ADJUST_COLLIDES: Final = '("idempotency_keys_pkey", "transactions_pkey", "transaction_notes_user_id_fkey")'

_LOCKS: Final = (
    *out_of(
        _HANDLER,
        (
            "RefundTransaction: the first wallet's lock",
            "place=0",
            "place=9",
            f"{_TURNS}TestWaiting::test_a_refund_takes_what_is_left[payer]",
        ),
        (
            "RefundTransaction: the second wallet's lock",
            "place=1",
            "place=9",
            f"{_TURNS}TestWaiting::test_a_refund_takes_what_is_left[host]",
        ),
        (
            "AdjustBalance: the wallet's lock",
            "lock_wallet(user_id=request.user_id, kind=kind)",
            'lock_wallet(user_id=request.user_id, kind="")',
            f"{_TURNS}TestWaiting::test_a_correction_takes_what_is_left",
        ),
        (
            "refunds and corrections: not one's own",
            "        raise errors.wallet_own()\n",
            "        pass\n",
            f"{_REFUND_REFUSED}[WALLET_OWN]",
        ),
    ),
    *out_of(
        _QUERIES,
        (
            "RefundTransaction: it locks",
            "FOR NO KEY UPDATE\n",
            "",
            f"{_TURNS}TestWaiting::test_a_refund_takes_what_is_left[payer]",
        ),
        (
            "RefundTransaction: it locks in the order of all",
            "ORDER BY entries.user_id, entries.account\n",
            "ORDER BY entries.account\n",
            f"{_TURNS}TestOrder::test_a_refund_locks_the_wallets_of_both_in_order",
        ),
    ),
)

_REFUNDED: Final = out_of(
    _QUERIES,
    (
        "RefundTransaction: not asked before",
        f"{_ASKED.format(3)}{_NO_PRIOR} AND",
        _ASKED.format(3),
        f"{_REFUNDS}test_fifty_identical_ones_at_once_refund_once_and_answer_alike",
    ),
    (
        "RefundTransaction: not made before its key expired",
        f"{_ASKED.format(3)}{_NO_PRIOR} AND NOT EXISTS (SELECT FROM expired)\n",
        f"{_ASKED.format(3)}{_NO_PRIOR}\n",
        f"{_REFUNDS}test_a_key_that_has_expired_moves_nothing_twice",
    ),
    (
        "RefundTransaction: as many coins, when its key has expired",
        "                AND transactions.total = coalesce($5::bigint, transactions.total)\n",
        "",
        f"{_REFUNDS}test_a_key_that_has_expired_moves_nothing_twice",
    ),
    (
        "RefundTransaction: the same user, when its key has expired",
        "                refunds.user_id = $3::uuid\n                AND ",
        "                ",
        f"{_REFUNDS}test_a_key_that_has_expired_moves_nothing_twice",
    ),
    (
        "RefundTransaction: the same transaction, when its key has expired",
        "                AND refunds.original_id = $4::uuid\n",
        "",
        f"{_REFUNDS}test_a_key_that_has_expired_moves_nothing_twice",
    ),
    (
        "RefundTransaction: its outcome is kept",
        "        $2::uuid,\n        decode($6::text",
        "        gen_random_uuid(),\n        decode($6::text",
        f"{_REFUND_REFUSED}[REQUEST_ID_REUSED]",
    ),
    (
        "RefundTransaction: who loses at a key looks again",
        '"idempotency_keys_pkey", "transactions_pkey", "refunds_pkey"',
        '"transactions_pkey", "refunds_pkey"',
        f"{_TURNS}TestKeys::test_a_refusal_has_the_key[refund]",
    ),
    (
        "RefundTransaction: who loses at a transaction looks again",
        '"transactions_pkey", "refunds_pkey"',
        '"refunds_pkey"',
        f"{_TURNS}TestKeys::test_a_movement_has_the_key[refund]",
    ),
    (
        "RefundTransaction: who finds him erased looks again",
        '"refunds_pkey", "transaction_notes_user_id_fkey"',
        '"refunds_pkey"',
        f"{_TURNS}TestErasedMeanwhile::test_he_is_found_missing[refund]",
    ),
    (
        "RefundTransaction: the user lives",
        "WHEN NOT lives",
        "WHEN FALSE",
        f"{_REFUNDS}test_nobody_who_was_erased_is_refunded_and_what_was_said_of_him_is_gone",
    ),
    (
        "RefundTransaction: a transaction of his",
        "LEFT JOIN transactions ON asked.user_id = transactions.user_id AND",
        "LEFT JOIN transactions ON",
        f"{_REFUND_REFUSED}[TRANSACTION_NOT_FOUND]",
    ),
    (
        "RefundTransaction: there is such a transaction",
        "WHEN original_id IS NULL",
        "WHEN FALSE",
        f"{_REFUND_REFUSED}[TRANSACTION_NOT_FOUND]",
    ),
    (
        "RefundTransaction: of a kind that can be refunded",
        "WHEN kind NOT IN",
        "WHEN FALSE AND kind NOT IN",
        f"{_REFUND_REFUSED}[TRANSACTION_NOT_REFUNDABLE]",
    ),
    (
        "RefundTransaction: something is left",
        "WHEN before = total",
        "WHEN FALSE",
        f"{_REFUND_REFUSED}[TRANSACTION_REFUNDED]",
    ),
    (
        "RefundTransaction: as much is left",
        "WHEN before + coins > total",
        "WHEN FALSE",
        f"{_REFUND_REFUSED}[REFUND_TOO_LARGE]",
    ),
    (
        "RefundTransaction: what was bought is there",
        "WHEN kind = 'purchase' AND coins > available",
        "WHEN FALSE",
        f"{_REFUNDS}test_a_purchase_goes_back_to_the_provider_as_far_as_it_is_there",
    ),
    (
        "RefundTransaction: no more than the host has",
        ",\n            host_available\n",
        "\n",
        f"{_REFUNDS}test_the_platform_bears_what_the_host_no_longer_has",
    ),
    (
        "RefundTransaction: the mark is moved",
        "        $7::uuid\n    FROM posted\n",
        "        $7::uuid\n    FROM posted\n    LIMIT 0\n",
        f"{_REFUND_REFUSED}[TRANSACTION_REFUNDED]",
    ),
)

_ADJUSTED: Final = out_of(
    _QUERIES,
    (
        "AdjustBalance: not asked before",
        f"{_ASKED.format(5)}{_NO_PRIOR} AND",
        _ASKED.format(5),
        f"{_RACES}test_fifty_identical_corrections_at_once_are_made_once_and_answered_alike[40]",
    ),
    (
        "AdjustBalance: not made before its key expired",
        f"{_ASKED.format(5)}{_NO_PRIOR} AND NOT EXISTS (SELECT FROM expired)\n",
        f"{_ASKED.format(5)}{_NO_PRIOR}\n",
        f"{_ADJUSTS}test_a_key_that_has_expired_moves_nothing_twice",
    ),
    (
        "AdjustBalance: as many coins, when its key has expired",
        " AND entries.amount = $3::bigint THEN",
        " AND entries.amount IS NOT NULL THEN",
        f"{_ADJUSTS}test_a_key_that_has_expired_moves_nothing_twice",
    ),
    (
        "AdjustBalance: the same user, when its key has expired",
        "            AND entries.user_id = $5::uuid\n",
        "",
        f"{_ADJUSTS}test_a_key_that_has_expired_moves_nothing_twice",
    ),
    (
        "AdjustBalance: the same wallet, when its key has expired",
        "            AND entries.account = $6::text\n",
        "            AND entries.account IN ('coins', 'earnings')\n",
        f"{_ADJUSTS}test_a_key_that_has_expired_moves_nothing_twice",
    ),
    (
        "AdjustBalance: a correction, when its key has expired",
        "WHEN transactions.kind = 'adjustment' AND ",
        "WHEN ",
        f"{_REFUNDS}test_a_key_that_has_expired_moves_nothing_twice",
    ),
    (
        "AdjustBalance: its outcome is kept",
        "        $2::uuid,\n        decode($4::text",
        "        gen_random_uuid(),\n        decode($4::text",
        f"{_ADJUSTS}test_a_refusal_is_remembered_when_it_would_no_longer_be_one",
    ),
    (
        "AdjustBalance: who loses at a key looks again",
        _ADJUST_COLLIDES,
        _ADJUST_COLLIDES.replace('"idempotency_keys_pkey", ', ""),
        f"{_TURNS}TestKeys::test_a_refusal_has_the_key[correction]",
    ),
    (
        "AdjustBalance: who loses at a transaction looks again",
        _ADJUST_COLLIDES,
        _ADJUST_COLLIDES.replace('"transactions_pkey", ', ""),
        f"{_TURNS}TestKeys::test_a_movement_has_the_key[correction]",
    ),
    (
        "AdjustBalance: who finds him erased looks again",
        _ADJUST_COLLIDES,
        _ADJUST_COLLIDES.replace(', "transaction_notes_user_id_fkey"', ""),
        f"{_TURNS}TestErasedMeanwhile::test_he_is_found_missing[correction]",
    ),
    (
        "AdjustBalance: the user lives",
        "WHEN living_users.user_id IS NULL",
        "WHEN FALSE",
        f"{_ADJUST_REFUSED}[USER_NOT_FOUND]",
    ),
    (
        "AdjustBalance: as much is available",
        "WHEN wallets.available + $3::bigint < 0",
        "WHEN FALSE",
        f"{_ADJUSTS}test_what_is_held_is_not_taken",
    ),
)

GUARDS: Final = (*_LOCKS, *_REFUNDED, *_ADJUSTED)
