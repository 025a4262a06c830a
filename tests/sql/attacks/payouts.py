"""What the tables of bonuses and withdrawals refuse."""

from __future__ import annotations

from tests.sql.attacks.values import FREE, NEW, insert
from tests.support.ledger import BONUS, CALLER, IDLE, MEMBER, PAYOUT, WITHDRAWAL

_REVIEWED = {"reviewer_id": f"'{CALLER}'", "review_time": "clock()"}
_ENDED = {**_REVIEWED, "completer_id": f"'{CALLER}'", "end_time": "clock()"}
_PAID = {**_ENDED, "status": "'paid'", "transaction_id": f"'{FREE}'"}
_FAILED = {**_ENDED, "status": "'failed'"}
_APPROVED = {**_REVIEWED, "status": "'approved'"}
_HIS = {"user_id": f"'{MEMBER}'", "withdrawal_id": f"'{WITHDRAWAL}'"}
_ERASED = f"DELETE FROM living_users WHERE user_id = '{MEMBER}'; "


def _withdrawal(**changes: str) -> str:
    """A new withdrawal, pending but for the changes."""
    row = {"user_id": f"'{IDLE}'", "id": NEW, "amount": "5", "status": "'pending'", "create_time": "clock()"}
    return insert("withdrawals", row, changes)


def _upi(**changes: str) -> str:
    row = {"user_id": f"'{IDLE}'", "withdrawal_id": NEW, "method": "'upi'", "upi_id": "'a@b'"}
    return insert("withdrawal_details", row, changes)


def _bank(**changes: str) -> str:
    bank = {"account_holder": "'A'", "account_number": "'0001'", "bank_code": "'HDFC0000001'"}
    return _upi(**{"method": "'bank_account'", "upi_id": "NULL", **bank, **changes})


def _bonus(**changes: str) -> str:
    row = {
        "user_id": f"'{IDLE}'",
        "rule": "'tests'",
        "period": "'2026-W48'",
        "coins": "5",
        "transaction_id": f"'{FREE}'",
        "create_time": "clock()",
    }
    return insert("host_bonuses", row, changes)


CHECKS = {
    "withdrawals_amount_check": [_withdrawal(amount="0"), _withdrawal(amount="1000000001")],
    "withdrawals_status_check": [_withdrawal(**{**_REVIEWED, "status": "'lost'", "end_time": "clock()"})],
    "withdrawals_reviewer_id_check": [
        _withdrawal(**_REVIEWED),
        _withdrawal(status="'approved'"),
        _withdrawal(status="'approved'", reviewer_id=f"'{CALLER}'"),
        _withdrawal(**{**_REVIEWED, "status": "'cancelled'", "end_time": "clock()"}),
        _withdrawal(**{**_APPROVED, "reviewer_id": f"'{IDLE}'"}),
    ],
    "withdrawals_completer_id_check": [
        _withdrawal(**{**_FAILED, "completer_id": "NULL"}),
        _withdrawal(**{**_FAILED, "completer_id": f"'{IDLE}'"}),
        _withdrawal(**{**_APPROVED, "completer_id": f"'{CALLER}'"}),
    ],
    "withdrawals_end_time_check": [
        _withdrawal(end_time="clock()"),
        _withdrawal(**_APPROVED, end_time="clock()"),
        _withdrawal(status="'cancelled'"),
        _withdrawal(**{**_PAID, "end_time": "NULL"}),
    ],
    "withdrawals_transaction_id_check": [
        _withdrawal(**{**_PAID, "transaction_id": "NULL"}),
        _withdrawal(**_FAILED, transaction_id=f"'{FREE}'"),
        _withdrawal(transaction_id=f"'{FREE}'"),
    ],
    "withdrawal_details_method_check": [
        _upi(method="'cash'"),
        _upi(upi_id="NULL"),
        _upi(bank_code="'HDFC0000001'"),
        _bank(upi_id="'a@b'"),
        _bank(account_number="NULL"),
    ],
    "withdrawal_details_upi_id_check": [_upi(upi_id="'ab'"), _upi(upi_id="repeat('a', 256)")],
    "withdrawal_details_account_holder_check": [_bank(account_holder="''"), _bank(account_holder="repeat('a', 101)")],
    "withdrawal_details_account_number_check": [_bank(account_number="'001'"), _bank(account_number="'00 01'")],
    "withdrawal_details_bank_code_check": [_bank(bank_code="'HDF'"), _bank(bank_code="'hdfc0000001'")],
    "withdrawal_details_note_check": [_upi(note="''"), _upi(note="repeat('a', 501)")],
    "withdrawal_details_payout_reference_check": [_upi(payout_reference="''"), _upi(payout_reference="'UTR 1'")],
    "host_bonuses_rule_check": [_bonus(rule="''"), _bonus(rule="'A b'")],
    "host_bonuses_period_check": [_bonus(period=f"'{period}'") for period in ("2026", "2026-W54", "2026-13")],
    "host_bonuses_coins_check": [_bonus(coins="0"), _bonus(coins="1000000001")],
}

KEYS = {
    "withdrawals_pkey": _withdrawal(user_id=f"'{MEMBER}'", id=f"'{WITHDRAWAL}'"),
    "withdrawals_transaction_id_key": _withdrawal(**{**_PAID, "transaction_id": f"'{PAYOUT}'"}),
    "withdrawal_details_pkey": _upi(**_HIS),
    "host_bonuses_pkey": _bonus(user_id=f"'{MEMBER}'", period="'2026-W47'"),
    "host_bonuses_transaction_id_key": _bonus(transaction_id=f"'{BONUS}'"),
}

FOREIGN_KEYS = {
    "withdrawals_user_id_fkey": [_withdrawal(user_id=NEW)],
    "withdrawals_reviewer_id_fkey": [_withdrawal(**{**_APPROVED, "reviewer_id": NEW})],
    "withdrawals_transaction_id_fkey": [_withdrawal(**{**_PAID, "transaction_id": NEW})],
    "withdrawal_details_user_id_fkey": [_ERASED + _upi(**_HIS)],
    "withdrawal_details_withdrawal_id_fkey": [_upi()],
    "host_bonuses_user_id_fkey": [_bonus(user_id=NEW)],
    "host_bonuses_transaction_id_fkey": [_bonus(transaction_id=NEW)],
}

FORBIDDEN = {
    "withdrawals": (
        *(
            f"INSERT ({column})"
            for column in ("status", "reviewer_id", "review_time", "completer_id", "end_time", "transaction_id")
        ),
        *(f"UPDATE ({column})" for column in ("user_id", "id", "amount", "create_time")),
        "DELETE",
        "TRUNCATE",
    ),
    "withdrawal_details": (
        "INSERT (note)",
        "INSERT (payout_reference)",
        *(
            f"UPDATE ({column})"
            for column in (
                "user_id",
                "withdrawal_id",
                "method",
                "upi_id",
                "account_holder",
                "account_number",
                "bank_code",
            )
        ),
        "DELETE",
        "TRUNCATE",
    ),
    "host_bonuses": ("UPDATE", "DELETE", "TRUNCATE"),
}

APPEND_ONLY = {
    "withdrawals_append_only": ["DELETE FROM withdrawals", "TRUNCATE withdrawals CASCADE"],
    "host_bonuses_append_only": [
        "UPDATE host_bonuses SET coins = 1",
        "DELETE FROM host_bonuses",
        "TRUNCATE host_bonuses",
    ],
}
