"""What the tables of refunds and of notes about transactions refuse."""

from __future__ import annotations

from tests.sql.attacks.values import FREE, NEW, insert
from tests.support.ledger import BOUGHT, HOST, MEMBER, REFUND


def _refund(**changes: str) -> str:
    """The next refund of a purchase, as it should be but for the changes."""
    row = {
        "original_id": f"'{BOUGHT}'",
        "before": "50",
        "after": "60",
        "user_id": f"'{MEMBER}'",
        "taken_back": "0",
        "transaction_id": f"'{FREE}'",
    }
    return insert("refunds", row, changes)


def _note(**changes: str) -> str:
    row = {"user_id": f"'{MEMBER}'", "transaction_id": f"'{FREE}'", "note": "'a reason'"}
    return insert("transaction_notes", row, changes)


CHECKS = {
    "refunds_before_check": [_refund(before="-1"), _refund(after="50"), _refund(after="40")],
    "refunds_taken_back_check": [_refund(taken_back="-1"), _refund(taken_back="11")],
    "transaction_notes_note_check": [_note(note="''"), _note(note="repeat('a', 501)")],
}

KEYS = {
    "refunds_pkey": _refund(before="0", after="8"),
    "refunds_after_key": _refund(before="10", after="50"),
    "refunds_transaction_id_key": _refund(transaction_id=f"'{REFUND}'"),
    "transaction_notes_pkey": _note(transaction_id=f"'{REFUND}'"),
}

FOREIGN_KEYS = {
    "refunds_previous_after_fkey": [_refund(before="55"), _refund(before="45")],
    "refunds_original_id_fkey": [_refund(original_id=NEW, before="0")],
    "refunds_user_id_fkey": [_refund(user_id=NEW)],
    "refunds_host_id_fkey": [_refund(host_id=f"'{HOST}'")],
    "refunds_transaction_id_fkey": [_refund(transaction_id=NEW)],
    "transaction_notes_user_id_fkey": [_note(user_id=NEW)],
    "transaction_notes_transaction_id_fkey": [_note(transaction_id=NEW)],
}

FORBIDDEN = {
    "refunds": ("UPDATE", "DELETE", "TRUNCATE"),
    "transaction_notes": ("UPDATE", "DELETE", "TRUNCATE"),
}

APPEND_ONLY = {
    "refunds_append_only": ["UPDATE refunds SET after = after", "DELETE FROM refunds", "TRUNCATE refunds"],
}
