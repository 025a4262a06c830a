"""Guards in the statements of subscriptions and their renewal."""

from __future__ import annotations

from typing import Final

from tools.guards_list.guard import out_of

_HANDLER: Final = "banter_grpc/handlers/wallet_subscriptions.py"
_QUERIES: Final = "banter_grpc/database/queries/wallet_subscriptions.py"
_TURNS: Final = "tests/rpc/test_wallet_turns.py::TestWaiting::"
_KEYS: Final = "tests/rpc/test_wallet_turns.py::TestKeys::"
_SUBSCRIBES: Final = "tests/rpc/test_wallet_subscriptions.py::TestSubscribe::"
_CANCELS: Final = "tests/rpc/test_wallet_subscriptions.py::TestCancelSubscription::"
_RENEWS: Final = "tests/rpc/test_wallet_subscription_renewals.py::TestRenewal::"
_REFUSES: Final = "tests/rpc/test_wallet_subscription_renewals.py::TestRefusedRenewal::"
_DOWNTIME: Final = "tests/rpc/test_wallet_subscription_renewals.py::TestDowntime::"
_ENDS: Final = "tests/rpc/test_wallet_subscription_ends.py::TestEndPeriod::"
_LOCK: Final = 'lock_wallet(user_id=caller.user, kind="{}"),\n            queries.{}('

_BEGINS: Final = (
    *out_of(
        _HANDLER,
        (
            "Subscribe: the wallet's lock",
            _LOCK.format("coins", "subscribe"),
            _LOCK.format("", "subscribe"),
            f"{_TURNS}test_a_subscription_is_paid_from_what_is_left",
        ),
    ),
    *out_of(
        _QUERIES,
        (
            "Subscribe: not asked before",
            "        AND wallets.kind = 'coins'\n        AND NOT EXISTS (SELECT FROM prior)\n",
            "        AND wallets.kind = 'coins'\n",
            f"{_SUBSCRIBES}test_fifty_identical_at_once_charge_once_and_answer_alike",
        ),
        (
            "Subscribe: not charged before its key expired",
            "        AND NOT EXISTS (SELECT FROM expired)\n",
            "",
            f"{_SUBSCRIBES}test_a_request_whose_key_has_expired_still_charges_nothing_twice",
        ),
        (
            "Subscribe: the same plan, when its key has expired",
            "CASE WHEN periods.plan_id = $3::text THEN",
            "CASE WHEN TRUE THEN",
            f"{_SUBSCRIBES}test_a_request_whose_key_has_expired_still_charges_nothing_twice",
        ),
        (
            "Subscribe: its outcome is kept",
            "        $2::uuid,\n        decode(",
            "        gen_random_uuid(),\n        decode(",
            f"{_SUBSCRIBES}test_who_has_too_few_coins_is_told_and_told_again",
        ),
        (
            "Subscribe: who loses at a key looks again",
            '"idempotency_keys_pkey", ',
            "",
            f"{_KEYS}test_a_refusal_has_the_key[subscription]",
        ),
        (
            "Subscribe: who loses at a transaction looks again",
            '("idempotency_keys_pkey", "transactions_pkey")',
            '("idempotency_keys_pkey",)',
            f"{_KEYS}test_a_movement_has_the_key[subscription]",
        ),
        (
            "Subscribe: the user is active",
            " AND users.is_active\n",
            "\n",
            f"{_SUBSCRIBES}test_who_was_deactivated_after_he_was_let_in_is_not_charged",
        ),
        (
            "Subscribe: there is such a plan",
            "WHEN plan_id IS NULL",
            "WHEN FALSE",
            f"{_SUBSCRIBES}test_a_plan_that_is_not_there_is_refused",
        ),
        (
            "Subscribe: the plan is active",
            "WHEN NOT is_active",
            "WHEN FALSE",
            f"{_SUBSCRIBES}test_a_plan_that_is_not_active_takes_nobody",
        ),
        (
            "Subscribe: none renews already",
            "(auto_renew OR latest_plan_id <> plan_id)",
            "(latest_plan_id <> plan_id)",
            f"{_SUBSCRIBES}test_who_is_subscribed_is_told_until_when[monthly]",
        ),
        (
            "Subscribe: none of another plan runs",
            "(auto_renew OR latest_plan_id <> plan_id)",
            "(auto_renew)",
            f"{_SUBSCRIBES}test_one_that_was_cancelled_runs_out_before_another_plan_begins",
        ),
        (
            "Subscribe: the coins are there",
            "WHEN NOT runs AND available < coins",
            "WHEN FALSE",
            f"{_SUBSCRIBES}test_coins_that_are_held_are_not_spent",
        ),
        (
            "Subscribe: what is paid is not charged",
            "WHERE refusal IS NULL AND NOT runs",
            "WHERE refusal IS NULL",
            f"{_SUBSCRIBES}test_one_that_was_cancelled_goes_on_and_costs_nothing_before_its_time",
        ),
        (
            "Subscribe: the one before renews no more",
            " AND subscriptions.auto_renew\n    RETURNING",
            " AND FALSE\n    RETURNING",
            f"{_DOWNTIME}test_a_subscription_takes_the_place_of_the_one_that_was_to_be_renewed",
        ),
        (
            "Subscribe: who is refused goes on with nothing",
            "        AND decided.refusal IS NULL\n",
            "",
            f"{_SUBSCRIBES}test_one_that_was_cancelled_runs_out_before_another_plan_begins",
        ),
        (
            "Subscribe: only what runs goes on",
            "        AND decided.runs\n",
            "",
            f"{_SUBSCRIBES}test_after_the_end_of_one_another_begins",
        ),
    ),
)

_GOES_ON: Final = (
    *out_of(
        _HANDLER,
        (
            "CancelSubscription: the wallet's lock",
            _LOCK.format("coins", "cancel_subscription"),
            _LOCK.format("", "cancel_subscription"),
            f"{_TURNS}test_a_subscription_that_has_just_begun_is_cancelled",
        ),
    ),
    *out_of(
        "banter_grpc/jobs/subscriptions.py",
        (
            "renewal: the wallet's lock",
            'lock_wallet(user_id=row.user_id, kind="coins")',
            'lock_wallet(user_id=row.user_id, kind="")',
            f"{_TURNS}test_one_that_has_just_been_cancelled_is_not_renewed",
        ),
    ),
    *out_of(
        _QUERIES,
        (
            "CancelSubscription: one that runs or is to be renewed",
            "    AND (end_time > clock() OR (auto_renew AND try_time IS NULL))\n",
            "",
            f"{_CANCELS}test_there_is_nothing_to_cancel_before_and_after",
        ),
        (
            "renewal: of this place",
            "        AND subscriptions.place = $3::bigint\n",
            "        AND $3::bigint IS NOT NULL\n",
            f"{_RENEWS}test_whoever_asks_has_only_what_is_due_charged[another place]",
        ),
        (
            "renewal: not cancelled",
            "        AND subscriptions.auto_renew\n",
            "",
            f"{_RENEWS}test_whoever_asks_has_only_what_is_due_charged[cancelled]",
        ),
        (
            "renewal: not too early",
            "        AND subscriptions.end_time <= clock() + interval '24 hours'\n",
            "",
            f"{_RENEWS}test_whoever_asks_has_only_what_is_due_charged[too early]",
        ),
        (
            "renewal: the user is active",
            "            users.is_active\n            AND wallets",
            "            wallets",
            f"{_REFUSES}test_who_is_deactivated_is_not_charged_until_he_is_back",
        ),
        (
            "renewal: the coins are there",
            "            AND wallets.available >= plans.coins\n",
            "",
            f"{_REFUSES}test_it_is_tried_again_until_the_coins_are_there",
        ),
        (
            "renewal: not after an end that came unpaid",
            "            AND (subscriptions.try_time IS NULL OR subscriptions.end_time > clock())\n",
            "",
            f"{_REFUSES}test_at_the_end_it_lapses_whether_or_not_a_job_says_so",
        ),
        (
            "RefundTransaction: a period ends when all of it is refunded",
            " AND refunds.after = transactions.total",
            "",
            f"{_ENDS}test_a_whole_refund_ends_it_and_a_part_of_one_does_not",
        ),
    ),
)

GUARDS: Final = (*_BEGINS, *_GOES_ON)
