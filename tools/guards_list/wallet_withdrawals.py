"""Guards in the statements of withdrawals and bonuses."""

from __future__ import annotations

from typing import Final

from tools.guards_list.guard import Guard, Text, out_of

_QUERIES: Final = "banter_grpc/database/queries/wallet_withdrawals.py"
_HANDLER: Final = "banter_grpc/handlers/wallet_withdrawals.py"
_TURNS: Final = "tests/rpc/test_wallet_turns.py::TestWaiting::"
_ASKS: Final = "tests/rpc/test_wallet_withdrawals.py::TestRequestWithdrawal::"
_CANCELS: Final = "tests/rpc/test_wallet_withdrawals.py::TestCancelWithdrawal::"
_REVIEWS: Final = "tests/rpc/test_wallet_payouts.py::TestReviewWithdrawal::"
_ENDS: Final = "tests/rpc/test_wallet_payouts.py::TestCompleteWithdrawal::"
_AWARDS: Final = "tests/rpc/test_wallet_bonuses.py::TestAwardBonus::"
_DECIDES: Final = """        status = _decided(request.status)
        row = await self._change(
            queries."""

_REQUESTED: Final = (
    Guard(
        "RequestWithdrawal: the wallet's lock",
        Text(
            _HANDLER, 'lock_wallet(user_id=caller.user, kind="earnings")', 'lock_wallet(user_id=caller.user, kind="")'
        ),
        (
            "tests/rpc/test_wallet_races.py::test_no_two_withdrawals_take_the_same_coins",
            f"{_TURNS}test_a_withdrawal_holds_what_is_left",
        ),
    ),
    *out_of(
        _QUERIES,
        (
            "RequestWithdrawal: not asked before",
            "        AND users.is_active\n        AND NOT EXISTS (SELECT FROM prior)\n",
            "        AND users.is_active\n",
            f"{_ASKS}test_fifty_of_one_at_once_hold_once_and_answer_alike",
        ),
        (
            "RequestWithdrawal: not made before its key expired",
            "        AND NOT EXISTS (SELECT FROM expired)\n",
            "",
            f"{_ASKS}test_an_expired_key_holds_nothing_twice",
        ),
        (
            "RequestWithdrawal: as many coins, when its key has expired",
            "CASE WHEN amount = $3::bigint THEN",
            "CASE WHEN TRUE THEN",
            f"{_ASKS}test_an_expired_key_holds_nothing_twice",
        ),
        (
            "RequestWithdrawal: its outcome is kept",
            "        $2::uuid,\n        decode(",
            "        gen_random_uuid(),\n        decode(",
            f"{_ASKS}test_more_than_is_available_is_refused_for_good_under_its_request_id",
        ),
        (
            "RequestWithdrawal: who loses at a key looks again",
            '"idempotency_keys_pkey", ',
            "",
            "tests/rpc/test_wallet_turns.py::TestKeys::test_a_refusal_has_the_key[withdrawal]",
        ),
        (
            "RequestWithdrawal: the user is active",
            "        AND users.is_active\n",
            "",
            f"{_ASKS}test_who_was_deactivated_a_moment_ago_takes_out_nothing",
        ),
        (
            "RequestWithdrawal: not less than the least",
            "WHEN $3::bigint < $6::bigint",
            "WHEN FALSE",
            f"{_ASKS}test_less_than_the_least_is_refused",
        ),
        (
            "RequestWithdrawal: no more than is available",
            "WHEN $3::bigint > wallets.available",
            "WHEN FALSE",
            f"{_ASKS}test_more_than_is_available_is_refused_for_good_under_its_request_id",
        ),
        (
            "RequestWithdrawal: it is held",
            "        available = wallets.available - made.amount,\n        held = wallets.held + made.amount\n",
            "        held = wallets.held\n",
            f"{_ASKS}test_fifty_of_one_at_once_hold_once_and_answer_alike",
        ),
    ),
)

_CHANGED: Final = (
    *out_of(
        _HANDLER,
        (
            "what changes a withdrawal: the wallet's lock",
            'lock_wallet(user_id=user_id, kind="earnings")',
            'lock_wallet(user_id=user_id, kind="")',
            f"{_TURNS}test_a_withdrawal_that_has_just_failed_is_not_paid",
        ),
        (
            "ReviewWithdrawal: not his own",
            f"            raise errors.withdrawal_own()\n{_DECIDES}review_withdrawal(",
            f"            pass\n{_DECIDES}review_withdrawal(",
            f"{_REVIEWS}test_nobody_reviews_his_own",
        ),
        (
            "CompleteWithdrawal: not his own",
            f"            raise errors.withdrawal_own()\n{_DECIDES}complete_withdrawal(",
            f"            pass\n{_DECIDES}complete_withdrawal(",
            f"{_ENDS}test_nobody_completes_his_own",
        ),
        (
            "CompleteWithdrawal: it ended like this",
            "            raise errors.withdrawal_completed_otherwise(row.status)\n",
            "            pass\n",
            f"{_ENDS}test_it_does_not_end_otherwise_afterwards[PAID]",
        ),
    ),
    *out_of(
        _QUERIES,
        (
            "CancelWithdrawal: one's own",
            "WHERE user_id = $1::uuid AND id = $2::uuid AND status = 'pending'",
            "WHERE $1::uuid IS NOT NULL AND id = $2::uuid AND status = 'pending'",
            f"{_CANCELS}test_nobody_takes_back_anothers",
        ),
        (
            "CancelWithdrawal: a pending one",
            "WHERE user_id = $1::uuid AND id = $2::uuid AND status = 'pending'",
            "WHERE user_id = $1::uuid AND id = $2::uuid",
            f"{_CANCELS}test_what_is_reviewed_is_not_taken_back[APPROVED]",
        ),
        (
            "ReviewWithdrawal: a pending one",
            "WHERE user_id = $3::uuid AND id = $4::uuid AND status = 'pending'",
            "WHERE user_id = $3::uuid AND id = $4::uuid",
            f"{_REVIEWS}test_a_cancelled_one_is_not_reviewed",
        ),
        (
            "ReviewWithdrawal: of this user",
            "WHERE user_id = $3::uuid AND id = $4::uuid",
            "WHERE $3::uuid IS NOT NULL AND id = $4::uuid",
            f"{_REVIEWS}test_one_that_is_not_there_is_not_found",
        ),
        (
            "ReviewWithdrawal: only a rejected one is freed",
            " AND reviewed.status = 'rejected'",
            "",
            f"{_REVIEWS}test_an_approved_one_stays_held",
        ),
        (
            "CompleteWithdrawal: an approved one",
            " AND status = 'approved'",
            "",
            f"{_ENDS}test_only_an_approved_one_ends[pending]",
        ),
        (
            "CompleteWithdrawal: of this user",
            "WHERE user_id = $1::uuid AND id = $2::uuid AND status = 'approved'",
            "WHERE $1::uuid IS NOT NULL AND id = $2::uuid AND status = 'approved'",
            f"{_ENDS}test_one_that_is_not_there_is_not_found",
        ),
        (
            "CompleteWithdrawal: only a paid one goes out",
            "WHERE $5::text = 'paid'",
            "WHERE TRUE",
            f"{_ENDS}test_a_failed_one_is_freed",
        ),
        (
            "CompleteWithdrawal: only a failed one is freed",
            " AND ended.status = 'failed'",
            "",
            f"{_ENDS}test_a_paid_one_leaves_the_earnings",
        ),
    ),
)

_AWARDED: Final = (
    *out_of(
        "banter_grpc/handlers/wallet_bonuses.py",
        (
            "AwardBonus: the wallet's lock",
            'lock_wallet(user_id=request.user_id, kind="earnings")',
            'lock_wallet(user_id=request.user_id, kind="")',
            f"{_TURNS}test_a_bonus_is_added_to_what_is_there",
        ),
        (
            "AwardBonus: it is the same bonus",
            "if row.coins != request.coins:",
            "if False:",
            f"{_AWARDS}test_another_number_of_coins_for_the_same_is_refused",
        ),
    ),
    *out_of(
        "banter_grpc/database/queries/wallet_bonuses.py",
        (
            "AwardBonus: not awarded before",
            "        AND NOT EXISTS (SELECT FROM prior)\n",
            "",
            f"{_AWARDS}test_fifty_of_one_at_once_bring_it_once_and_answer_alike",
        ),
        (
            "AwardBonus: it is noted",
            "        clock()\n    FROM posted\n",
            "        clock()\n    FROM posted\n    LIMIT 0\n",
            f"{_AWARDS}test_fifty_of_one_at_once_bring_it_once_and_answer_alike",
        ),
        (
            "AwardBonus: the user lives",
            "    INNER JOIN living_users ON wallets.user_id = living_users.user_id\n",
            "",
            "tests/rpc/test_wallet_turns.py::TestErased::test_he_gets_no_bonus_and_forfeits_nothing_any_more",
        ),
        (
            "AwardBonus: the user is an approved host",
            "        AND users.host_status = 'approved'\n",
            "",
            f"{_AWARDS}test_who_is_no_host_gets_none_until_he_is_one[rejected]",
        ),
    ),
)

GUARDS: Final = (*_REQUESTED, *_CHANGED, *_AWARDED)
