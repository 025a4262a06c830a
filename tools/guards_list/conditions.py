"""Guards in the text of migrations: the conditions of triggers and functions."""

from __future__ import annotations

from typing import Final

from tools.guards_list.guard import out_of

_ALONE: Final = "tests/sql/test_ledger_guards.py::TestEachLayerAlone::"
_SUMS: Final = f"{_ALONE}test_the_legs_of_a_transaction_sum_to_0_and_move_its_total"
_PERIOD: Final = f"{_ALONE}test_a_period_is_paid_by_a_transaction_of_its_own"
_KEPT: Final = f"{_ALONE}test_a_table_is_append_only_even_for_its_owner[subscription_periods_append_only]"
_WITHDRAWALS: Final = "tests/database/test_withdrawals.py::"
_REFUNDS: Final = "tests/database/test_refunds.py::"
_SAYS: Final = f"{_REFUNDS}test_a_refund_says_what_its_transactions_say"
_ENDS: Final = "tests/rpc/test_wallet_subscription_ends.py::TestEndPeriod::"

_LEDGER: Final = out_of(
    "migrations/0006_ledger_guards.sql",
    ("entries_balance: legs sum to 0", "posted.rest <> 0\n", "FALSE\n", f"{_SUMS}[sum]"),
    (
        "entries_balance: legs move the total",
        "            OR posted.moved <> (SELECT total FROM transactions WHERE id = posted.transaction_id)\n",
        "",
        f"{_SUMS}[total]",
    ),
    (
        "entries_balance: all legs at once",
        """            OR posted.legs <> (
                SELECT count(*) FROM entries WHERE entries.transaction_id = posted.transaction_id
            )
""",
        "",
        f"{_ALONE}test_no_leg_comes_later",
    ),
    (
        "wallets_forward: not to an earlier version",
        "new.version < old.version OR ",
        "",
        f"{_ALONE}test_a_wallet_never_goes_back",
    ),
    (
        "wallets_forward: not to another owner",
        " OR (new.user_id, new.kind) IS DISTINCT FROM (old.user_id, old.kind)",
        "",
        f"{_ALONE}test_a_wallet_never_goes_back",
    ),
)

_KEYS: Final = out_of(
    "migrations/0008_idempotency.sql",
    (
        "purge_idempotency_keys: only old ones",
        "        WHERE create_time <= clock() - interval '30 days'\n",
        "",
        f"{_ALONE}test_a_key_is_kept_for_30_days_and_then_goes",
    ),
)

_WITHDRAWN: Final = out_of(
    "migrations/0020_withdrawals.sql",
    (
        "withdrawals_forward: from state to state",
        """(old.status, new.status) NOT IN (
        ('pending', 'approved'), ('pending', 'rejected'), ('pending', 'cancelled'),
        ('approved', 'paid'), ('approved', 'failed')
    )
""",
        "FALSE\n",
        f"{_WITHDRAWALS}test_a_withdrawal_goes_forward_and_ends_once[failed-failed]",
    ),
    (
        "withdrawals_forward: what it is about stays",
        """    OR (new.user_id, new.id, new.amount, new.create_time)
    IS DISTINCT FROM (old.user_id, old.id, old.amount, old.create_time)
""",
        "",
        f"{_WITHDRAWALS}test_what_it_is_about_and_its_review_never_change[amount]",
    ),
    (
        "withdrawals_forward: its review stays",
        """    OR (
        old.status = 'approved'
        AND (new.reviewer_id, new.review_time) IS DISTINCT FROM (old.reviewer_id, old.review_time)
    )
""",
        "",
        f"{_WITHDRAWALS}test_what_it_is_about_and_its_review_never_change[review]",
    ),
)

_REFUNDED: Final = out_of(
    "migrations/0023_refunds.sql",
    (
        "refunds_transactions: the original of its user",
        " AND made.user_id = original.user_id",
        "",
        f"{_SAYS}[of another user]",
    ),
    (
        "refunds_transactions: the movement of its user",
        " AND made.user_id = refund.user_id",
        "",
        f"{_SAYS}[for another user]",
    ),
    (
        "refunds_transactions: no more than the original",
        "made.after <= original.total\n",
        "TRUE\n",
        f"{_REFUNDS}test_no_refund_overshoots",
    ),
    (
        "refunds_transactions: of a kind that can be refunded",
        "            AND original.kind IN ('purchase', 'call_charge', 'gift', 'subscription')\n",
        "",
        f"{_REFUNDS}test_only_what_can_be_refunded_is",
    ),
    (
        "refunds_transactions: the movement of a refund",
        "            AND refund.kind = 'refund'\n",
        "",
        f"{_SAYS}[no refund]",
    ),
    (
        "refunds_transactions: of this original",
        "            AND refund.subject_id = original.id\n",
        "",
        f"{_SAYS}[of another]",
    ),
    (
        "refunds_transactions: as much as was moved",
        "            AND refund.total = made.after - made.before\n",
        "",
        f"{_SAYS}[moved less]",
    ),
    (
        "refunds_transactions: its host",
        "            AND earnings.user_id IS NOT DISTINCT FROM made.host_id\n",
        "",
        f"{_SAYS}[no host]",
    ),
    (
        "refunds_transactions: as much as the host gave",
        "            AND made.taken_back = coalesce(-entries.amount, 0)\n",
        "",
        f"{_SAYS}[taken more]",
    ),
)

_PERIODS: Final = out_of(
    "migrations/0025_subscription_guards.sql",
    (
        "subscription_periods_kept: what was charged stays",
        """(
        new.user_id, new.place, new.subscription_id, new.plan_id, new.coins, new.transaction_id, new.anchor,
        new.months, new.number, new.previous_place
    ) IS DISTINCT FROM (
        old.user_id, old.place, old.subscription_id, old.plan_id, old.coins, old.transaction_id, old.anchor,
        old.months, old.number, old.previous_place
    )
""",
        "FALSE\n",
        _KEPT,
    ),
    ("subscription_periods_kept: no later end", "    OR new.end_time > old.end_time\n", "", _KEPT),
    (
        "subscription_periods_kept: no later end of the one before",
        "    OR new.previous_end_time > old.previous_end_time\n",
        "",
        _KEPT,
    ),
    (
        "subscription_periods_kept: its refund stays",
        "    OR (old.refund_time IS NOT NULL AND new.refund_time IS DISTINCT FROM old.refund_time)\n",
        "",
        _KEPT,
    ),
    (
        "subscription_periods_charged: a charge",
        "            AND transactions.kind = 'subscription'\n",
        "",
        f"{_PERIOD}[another kind]",
    ),
    (
        "subscription_periods_charged: of its user",
        "            AND transactions.user_id = new.user_id\n",
        "",
        f"{_PERIOD}[another user]",
    ),
    (
        "subscription_periods_charged: of its subscription",
        "            AND transactions.subject_id = new.subscription_id\n",
        "",
        f"{_PERIOD}[another subscription]",
    ),
    (
        "subscription_periods_charged: of its price",
        "            AND transactions.total = new.coins\n",
        "",
        f"{_PERIOD}[another price]",
    ),
)

_ENDED: Final = out_of(
    "migrations/0026_refunded_periods.sql",
    (
        "end_subscription_period: one that was not refunded",
        "refund_time IS NULL AND ",
        "",
        f"{_ENDS}test_one_that_has_not_begun_never_does_and_the_one_before_it_runs_out",
    ),
    (
        "end_subscription_period: one with time left",
        " AND end_time > clock()\n",
        "\n",
        f"{_ENDS}test_a_period_that_is_over_stays_and_the_next_one_too",
    ),
    (
        "end_subscription_period: not before it begins",
        "greatest(clock(), coalesce(previous_end_time, anchor))",
        "clock()",
        f"{_ENDS}test_one_that_has_not_begun_never_does_and_the_one_before_it_runs_out",
    ),
    (
        "end_subscription_period: what was refunded after it",
        "WHERE user_id = ended.user_id AND place > ended.place AND refund_time IS NOT NULL",
        "WHERE FALSE",
        f"{_ENDS}test_with_both_of_them_ended_another_may_begin_at_once[the later one first]",
    ),
    (
        "end_subscription_period: in the order of the chain",
        "ORDER BY place\n",
        "ORDER BY place DESC\n",
        f"{_ENDS}test_whatever_follows_the_one_that_runs_and_was_ended_before_ends_with_it",
    ),
    (
        "end_subscription_period: it renews no more",
        "SET auto_renew = FALSE, ",
        "SET ",
        f"{_ENDS}test_premium_ends_at_that_moment_and_nothing_renews",
    ),
)

GUARDS: Final = (*_LEDGER, *_KEYS, *_WITHDRAWN, *_REFUNDED, *_PERIODS, *_ENDED)
