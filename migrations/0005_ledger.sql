-- Money: wallets, and the double-entry ledger that they can only repeat.
-- depends: 0004_signing_keys

-- One row per user and kind. `available` can be spent, `held` waits for a call or a withdrawal to end.
CREATE TABLE wallets (
    user_id uuid NOT NULL,
    kind text NOT NULL,
    available bigint NOT NULL DEFAULT 0,
    held bigint NOT NULL DEFAULT 0,
    balance bigint NOT NULL GENERATED ALWAYS AS (available + held) STORED,
    -- How many entries it has; holds make none.
    version bigint NOT NULL DEFAULT 0,
    head_version bigint GENERATED ALWAYS AS (nullif(version, 0)) STORED,
    head_hash bytea NOT NULL DEFAULT '',
    CONSTRAINT wallets_pkey PRIMARY KEY (user_id, kind),
    CONSTRAINT wallets_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT wallets_kind_check CHECK (kind IN ('coins', 'earnings')),
    CONSTRAINT wallets_available_check CHECK (available >= 0),
    CONSTRAINT wallets_held_check CHECK (held >= 0),
    CONSTRAINT wallets_version_check CHECK (version > 0 OR (version = 0 AND available + held = 0))
);

-- One row per movement of coins: what it was, for what, by whom. `user_id` is the user whom it is about.
CREATE TABLE transactions (
    id uuid NOT NULL,
    kind text NOT NULL,
    user_id uuid NOT NULL,
    -- The call, withdrawal, subscription or refunded transaction that it belongs to.
    subject_id uuid,
    -- The user who did it, or the UUID of the service that did.
    actor_id uuid NOT NULL,
    -- What changed hands: the sum of its positive entries.
    total bigint NOT NULL,
    create_time timestamptz NOT NULL,
    CONSTRAINT transactions_pkey PRIMARY KEY (id),
    CONSTRAINT transactions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT transactions_kind_check CHECK (
        kind IN (
            'signup_grant', 'purchase', 'call_charge', 'gift', 'subscription', 'bonus', 'withdrawal', 'refund',
            'adjustment', 'forfeit'
        )
    ),
    CONSTRAINT transactions_total_check CHECK (total BETWEEN 1 AND 1000000000000)
);

CREATE INDEX transactions_user_id_create_time_idx ON transactions (user_id, create_time, id);
CREATE INDEX transactions_subject_id_idx ON transactions (subject_id) WHERE subject_id IS NOT NULL;

-- The legs of a transaction; they sum to zero. A leg of a wallet goes on from the leg before it: its version is the next
-- one, its balance is that one's balance and its amount, and its hash covers that one's hash. A leg of a system account
-- (promotions, payment_provider, platform_revenue, payouts) has no chain, so that no movement waits for another's.
CREATE TABLE entries (
    user_id uuid NOT NULL,
    account text NOT NULL,
    transaction_id uuid NOT NULL,
    amount bigint NOT NULL,
    version bigint,
    balance_after bigint,
    previous_version bigint GENERATED ALWAYS AS (nullif(version - 1, 0)) STORED,
    previous_balance bigint GENERATED ALWAYS AS (balance_after - amount) STORED,
    hash bytea,
    CONSTRAINT entries_pkey PRIMARY KEY (user_id, account, transaction_id),
    CONSTRAINT entries_version_key UNIQUE (user_id, account, version),
    CONSTRAINT entries_balance_after_key UNIQUE (user_id, account, version, balance_after),
    CONSTRAINT entries_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT entries_transaction_id_fkey FOREIGN KEY (transaction_id) REFERENCES transactions (id),
    CONSTRAINT entries_previous_version_fkey FOREIGN KEY (user_id, account, previous_version, previous_balance)
    REFERENCES entries (user_id, account, version, balance_after),
    CONSTRAINT entries_account_check CHECK (
        account IN ('coins', 'earnings', 'promotions', 'payment_provider', 'platform_revenue', 'payouts')
    ),
    CONSTRAINT entries_amount_check CHECK (amount <> 0 AND amount BETWEEN -1000000000000 AND 1000000000000),
    CONSTRAINT entries_version_check CHECK (
        CASE
            WHEN account IN ('coins', 'earnings') THEN version >= 1 AND balance_after >= 0 AND octet_length(hash) = 32
            ELSE num_nonnulls(version, balance_after, hash) = 0
        END IS TRUE
    ),
    CONSTRAINT entries_balance_after_check CHECK (version IS DISTINCT FROM 1 OR balance_after = amount)
);

CREATE INDEX entries_transaction_id_idx ON entries (transaction_id);

-- A wallet says what its last entry says, and nothing else.
ALTER TABLE wallets ADD CONSTRAINT wallets_head_version_fkey FOREIGN KEY (user_id, kind, head_version, balance)
REFERENCES entries (user_id, account, version, balance_after);

-- What a host earned by a call, a gift or a bonus, and what the platform kept of it.
CREATE TABLE earnings (
    user_id uuid NOT NULL,
    transaction_id uuid NOT NULL,
    kind text NOT NULL,
    total bigint NOT NULL,
    host_part bigint NOT NULL,
    platform_part bigint NOT NULL,
    create_time timestamptz NOT NULL,
    CONSTRAINT earnings_pkey PRIMARY KEY (user_id, transaction_id),
    CONSTRAINT earnings_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT earnings_transaction_id_fkey FOREIGN KEY (transaction_id) REFERENCES transactions (id),
    CONSTRAINT earnings_kind_check CHECK (kind IN ('call_charge', 'gift', 'bonus')),
    CONSTRAINT earnings_host_part_check CHECK (
        host_part > 0 AND platform_part >= 0 AND host_part + platform_part = total
    )
);

CREATE INDEX earnings_transaction_id_idx ON earnings (transaction_id);
CREATE INDEX earnings_user_id_create_time_idx ON earnings (user_id, create_time, transaction_id);

GRANT SELECT ON transactions, entries, earnings, wallets TO banter_service;
-- Holds move coins between these two; the rest of a wallet changes with an entry only, which post() makes.
GRANT UPDATE (available, held) ON wallets TO banter_service;
