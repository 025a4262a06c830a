"""What the ledger's own tables refuse: wallets, transactions, entries, earnings, payments, keys and grants."""

from __future__ import annotations

from tests.sql.attacks.values import FREE, NEW
from tests.support.ledger import CALL, CALLER, HOST, IDLE, PURCHASE

_COINS = f"user_id = '{CALLER}' AND kind = 'coins'"
_HASH = "sha256('x')"
_TRANSACTION = "INSERT INTO transactions (id, kind, user_id, actor_id, total, create_time) VALUES"
_LEG = "INSERT INTO entries (user_id, account, transaction_id, amount) VALUES"
_ENTRY = "INSERT INTO entries (user_id, account, transaction_id, amount, version, balance_after, hash) VALUES"
_EARNINGS = "INSERT INTO earnings (user_id, transaction_id, kind, total, host_part, platform_part, create_time) VALUES"
_PAYMENT = "INSERT INTO payments (provider, payment_id, user_id, coins, transaction_id) VALUES"
_KEY = "INSERT INTO idempotency_keys (actor_id, request_id, fingerprint, outcome, create_time) VALUES"
_GRANT = "INSERT INTO signup_grants (phone_hash, create_time) VALUES"

CHECKS = {
    "wallets_kind_check": [f"INSERT INTO wallets (user_id, kind) VALUES ({NEW}, 'gold')"],
    "wallets_available_check": [f"UPDATE wallets SET available = -1, held = available + held + 1 WHERE {_COINS}"],
    "wallets_held_check": [f"UPDATE wallets SET held = -1, available = available + held + 1 WHERE {_COINS}"],
    "wallets_version_check": [
        f"UPDATE wallets SET available = 5 WHERE user_id = '{IDLE}'",
        f"UPDATE wallets SET version = -1 WHERE {_COINS}",
    ],
    "transactions_kind_check": [f"{_TRANSACTION} ({NEW}, 'theft', '{IDLE}', '{IDLE}', 1, clock())"],
    "transactions_total_check": [
        f"{_TRANSACTION} ({NEW}, 'purchase', '{IDLE}', '{IDLE}', 0, clock())",
        f"{_TRANSACTION} ({NEW}, 'purchase', '{IDLE}', '{IDLE}', 1000000000001, clock())",
    ],
    "entries_account_check": [f"{_LEG} ('{IDLE}', 'mine', '{CALL}', 1)"],
    "entries_amount_check": [
        f"{_LEG} ('{IDLE}', 'payouts', '{CALL}', 0)",
        f"{_LEG} ('{IDLE}', 'payouts', '{CALL}', 1000000000001)",
        f"{_LEG} ('{IDLE}', 'payouts', '{CALL}', -1000000000001)",
    ],
    "entries_version_check": [
        f"{_LEG} ('{IDLE}', 'coins', '{CALL}', 1)",
        f"{_ENTRY} ('{IDLE}', 'payouts', '{CALL}', 1, 1, 1, {_HASH})",
        f"{_ENTRY} ('{IDLE}', 'coins', '{CALL}', 1, 0, 1, {_HASH})",
        f"{_ENTRY} ('{IDLE}', 'coins', '{CALL}', -1, 1, -1, {_HASH})",
        f"{_ENTRY} ('{IDLE}', 'coins', '{CALL}', 1, 1, 1, '')",
        f"{_ENTRY} ('{IDLE}', 'coins', '{CALL}', 1, 1, 1, NULL)",
    ],
    "entries_balance_after_check": [f"{_ENTRY} ('{IDLE}', 'coins', '{CALL}', 1, 1, 2, {_HASH})"],
    "earnings_kind_check": [f"{_EARNINGS} ('{IDLE}', '{CALL}', 'purchase', 2, 1, 1, clock())"],
    "earnings_host_part_check": [
        f"{_EARNINGS} ('{IDLE}', '{CALL}', 'gift', 2, 0, 2, clock())",
        f"{_EARNINGS} ('{IDLE}', '{CALL}', 'gift', 2, 3, -1, clock())",
        f"{_EARNINGS} ('{IDLE}', '{CALL}', 'gift', 2, 1, 2, clock())",
    ],
    "payments_coins_check": [
        f"{_PAYMENT} ('p', '1', '{IDLE}', 0, '{CALL}')",
        f"{_PAYMENT} ('p', '1', '{IDLE}', 1000000001, '{CALL}')",
    ],
    "idempotency_keys_fingerprint_check": [f"{_KEY} ({NEW}, {NEW}, 'x', '{{}}', clock())"],
    "signup_grants_phone_hash_check": [f"{_GRANT} ('x', clock())"],
}

KEYS = {
    "wallets_pkey": f"INSERT INTO wallets (user_id, kind) VALUES ('{IDLE}', 'coins')",
    "transactions_pkey": f"{_TRANSACTION} ('{CALL}', 'purchase', '{IDLE}', '{IDLE}', 1, clock())",
    "entries_pkey": f"{_ENTRY} ('{CALLER}', 'coins', '{CALL}', 1, 4, 891, {_HASH})",
    "entries_version_key": f"{_ENTRY} ('{CALLER}', 'coins', {NEW}, 1, 3, 891, {_HASH})",
    "entries_balance_after_key": "ALTER TABLE entries DROP CONSTRAINT entries_version_key;"
    f" {_ENTRY} ('{CALLER}', 'coins', {NEW}, -10, 3, 890, {_HASH})",
    "earnings_pkey": f"{_EARNINGS} ('{HOST}', '{CALL}', 'gift', 2, 1, 1, clock())",
    "payments_pkey": f"{_PAYMENT} ('tests', 'payment-1', '{IDLE}', 1, '{CALL}')",
    "payments_transaction_id_key": f"{_PAYMENT} ('tests', 'payment-2', '{IDLE}', 1, '{PURCHASE}')",
    "idempotency_keys_pkey": f"{_KEY} ('{CALL}', '{CALL}', {_HASH}, '{{}}', clock()),"
    f" ('{CALL}', '{CALL}', {_HASH}, '{{}}', clock())",
    "signup_grants_pkey": f"{_GRANT} ({_HASH}, clock()), ({_HASH}, clock())",
}

FOREIGN_KEYS = {
    "wallets_user_id_fkey": [f"INSERT INTO wallets (user_id, kind) VALUES ({NEW}, 'coins')"],
    "wallets_head_version_fkey": [
        f"UPDATE wallets SET available = available + 1 WHERE {_COINS}",
        f"UPDATE wallets SET version = version + 1 WHERE {_COINS}",
        f"UPDATE wallets SET version = 1, available = 1 WHERE user_id = '{IDLE}'",
    ],
    "transactions_user_id_fkey": [f"{_TRANSACTION} ({NEW}, 'purchase', {NEW}, '{IDLE}', 1, clock())"],
    "entries_user_id_fkey": [f"{_LEG} ({NEW}, 'payouts', '{CALL}', 1)"],
    "entries_transaction_id_fkey": [f"{_LEG} ('{IDLE}', 'payouts', {NEW}, 1)"],
    "entries_previous_version_fkey": [
        f"{_ENTRY} ('{CALLER}', 'coins', '{FREE}', 1, 5, 891, {_HASH})",
        f"{_ENTRY} ('{CALLER}', 'coins', '{FREE}', 1, 4, 892, {_HASH})",
        f"{_ENTRY} ('{IDLE}', 'coins', '{FREE}', 1, 2, 1, {_HASH})",
    ],
    "earnings_user_id_fkey": [f"{_EARNINGS} ({NEW}, '{CALL}', 'gift', 2, 1, 1, clock())"],
    "earnings_transaction_id_fkey": [f"{_EARNINGS} ('{IDLE}', {NEW}, 'gift', 2, 1, 1, clock())"],
    "payments_user_id_fkey": [f"{_PAYMENT} ('p', '1', {NEW}, 1, '{CALL}')"],
    "payments_transaction_id_fkey": [f"{_PAYMENT} ('p', '1', '{IDLE}', 1, {NEW})"],
}

FORBIDDEN = {
    "transactions": ("INSERT", "UPDATE", "DELETE", "TRUNCATE"),
    "entries": ("INSERT", "UPDATE", "DELETE", "TRUNCATE"),
    "earnings": ("INSERT", "UPDATE", "DELETE", "TRUNCATE"),
    "wallets": (
        "INSERT",
        *(f"UPDATE ({column})" for column in ("user_id", "kind", "version", "head_hash")),
        "DELETE",
        "TRUNCATE",
    ),
    "payments": ("UPDATE", "DELETE", "TRUNCATE"),
    "idempotency_keys": ("UPDATE", "DELETE", "TRUNCATE"),
    "signup_grants": ("UPDATE", "DELETE", "TRUNCATE"),
}

APPEND_ONLY = {
    "transactions_append_only": [
        "UPDATE transactions SET total = 1",
        "DELETE FROM transactions",
        "TRUNCATE transactions CASCADE",
    ],
    "entries_append_only": ["UPDATE entries SET amount = 1", "DELETE FROM entries", "TRUNCATE entries CASCADE"],
    "earnings_append_only": ["UPDATE earnings SET kind = 'gift'", "DELETE FROM earnings", "TRUNCATE earnings CASCADE"],
    "wallets_append_only": ["DELETE FROM wallets", "TRUNCATE wallets"],
    "payments_append_only": ["UPDATE payments SET coins = 1", "DELETE FROM payments", "TRUNCATE payments"],
    "idempotency_keys_append_only": ["UPDATE idempotency_keys SET outcome = '{}'", "TRUNCATE idempotency_keys"],
    "signup_grants_append_only": [
        "UPDATE signup_grants SET create_time = clock()",
        "DELETE FROM signup_grants",
        "TRUNCATE signup_grants",
    ],
}
