-- Verification of the ledger. A check walks a table in pieces of at most `most` rows, in the order of their keys: those
-- behind the key `after`, of users up to `until`. A piece is one statement, and so one snapshot: what is under way at
-- that moment is all there, or not at all. Each row of the answer says how far the piece reached and how many rows it
-- has; a row with a key names one that breaks a rule: its field, what it should be, what it is. Of an empty piece
-- there is none. What constraints enforce is looked at all the same: somebody may have dropped them.

-- name: verify_owners :many
-- Everybody has one wallet of each kind.
-- row: finding
-- index: users_pkey, wallets_pkey
-- not null: reached, rows_seen
-- way: own
WITH piece AS MATERIALIZED (
    SELECT id
    FROM users
    WHERE
        id >= ($after::text[])[1]::uuid
        AND id <= $until::uuid
        AND (id > ($after::text[])[1]::uuid OR ($after::text[])[2] = '')
    ORDER BY id
    LIMIT $most::bigint
),

wrong AS (
    SELECT
        ARRAY[piece.id::text] AS row_key,
        looked.field,
        looked.expected,
        looked.found
    FROM piece
    INNER JOIN LATERAL (
        SELECT
            count(*) FILTER (WHERE wallets.kind = 'coins') AS coins,
            count(*) FILTER (WHERE wallets.kind = 'earnings') AS earnings
        FROM wallets
        WHERE wallets.user_id = piece.id
    ) AS has ON TRUE
    INNER JOIN LATERAL (
        VALUES
        ('number of wallets for coins', '1', has.coins::text),
        ('number of wallets for earnings', '1', has.earnings::text)
    ) AS looked (field, expected, found) ON looked.expected IS DISTINCT FROM looked.found
)

SELECT
    reached.row_key AS reached,
    reached.rows_seen,
    wrong.row_key,
    wrong.field,
    wrong.expected,
    wrong.found
FROM (
    SELECT
        ARRAY[id::text, 'seen'] AS row_key,
        count(*) OVER () AS rows_seen
    FROM piece
    ORDER BY id DESC
    LIMIT 1
) AS reached
LEFT JOIN wrong ON TRUE;

-- name: verify_wallets :many
-- A wallet says what its last entry says. Of earnings it holds what open withdrawals come to; coins are held by live calls
-- only, which there are not yet.
-- row: finding
-- index: wallets_pkey, withdrawals_user_id_create_time_idx
-- not null: reached, rows_seen
-- way: own
WITH piece AS MATERIALIZED (
    SELECT
        user_id,
        kind,
        available,
        held,
        version,
        head_hash
    FROM wallets
    WHERE (user_id, kind) > (($after::text[])[1]::uuid, ($after::text[])[2]) AND user_id <= $until::uuid
    ORDER BY user_id, kind
    LIMIT $most::bigint
),

wrong AS (
    SELECT
        ARRAY[piece.user_id::text, piece.kind] AS row_key,
        looked.field,
        looked.expected,
        looked.found
    FROM piece
    LEFT JOIN users ON piece.user_id = users.id
    LEFT JOIN LATERAL (
        SELECT
            entries.version,
            entries.balance_after,
            entries.hash
        FROM entries
        WHERE
            entries.user_id = piece.user_id
            AND entries.account = piece.kind
            AND entries.version IS NOT NULL
        ORDER BY entries.version DESC
        LIMIT 1
    ) AS head ON TRUE
    INNER JOIN LATERAL (
        SELECT coalesce(sum(withdrawals.amount), 0) AS amount
        FROM withdrawals
        WHERE
            piece.kind = 'earnings'
            AND withdrawals.user_id = piece.user_id
            AND withdrawals.status IN ('pending', 'approved')
    ) AS waiting ON TRUE
    INNER JOIN LATERAL (
        VALUES
        ('user_id', users.id::text, piece.user_id::text),
        ('kind', CASE WHEN piece.kind = 'earnings' THEN 'earnings' ELSE 'coins' END, piece.kind),
        ('available', greatest(piece.available, 0)::text, piece.available::text),
        ('held', waiting.amount::text, piece.held::text),
        ('available + held', coalesce(head.balance_after, 0)::text, (piece.available + piece.held)::text),
        ('version', coalesce(head.version, 0)::text, piece.version::text),
        ('head_hash', encode(coalesce(head.hash, ''), 'hex'), encode(piece.head_hash, 'hex'))
    ) AS looked (field, expected, found) ON looked.expected IS DISTINCT FROM looked.found
)

SELECT
    reached.row_key AS reached,
    reached.rows_seen,
    wrong.row_key,
    wrong.field,
    wrong.expected,
    wrong.found
FROM (
    SELECT
        ARRAY[user_id::text, kind] AS row_key,
        count(*) OVER () AS rows_seen
    FROM piece
    ORDER BY user_id DESC, kind DESC
    LIMIT 1
) AS reached
LEFT JOIN wrong ON TRUE;

-- name: verify_chains :many
-- A wallet's entries are numbered 1, 2, 3, ..., and each one's balance is the one before it and its amount; the entries
-- of other accounts have neither.
-- row: finding
-- index: entries_pkey, transactions_pkey
-- not null: reached, rows_seen
-- way: own
WITH piece AS MATERIALIZED (
    SELECT
        user_id,
        account,
        transaction_id,
        amount,
        version,
        balance_after,
        hash,
        account IN ('coins', 'earnings') AS of_wallet
    FROM entries
    WHERE
        (user_id, account, transaction_id)
        > (($after::text[])[1]::uuid, ($after::text[])[2], ($after::text[])[3]::uuid)
        AND user_id <= $until::uuid
    ORDER BY user_id, account, transaction_id
    LIMIT $most::bigint
),

wrong AS (
    SELECT
        ARRAY[piece.user_id::text, piece.account, piece.transaction_id::text] AS row_key,
        looked.field,
        looked.expected,
        looked.found
    FROM piece
    LEFT JOIN users ON piece.user_id = users.id
    LEFT JOIN transactions ON piece.transaction_id = transactions.id
    INNER JOIN LATERAL (
        SELECT count(*) AS number
        FROM entries
        WHERE
            entries.user_id = piece.user_id
            AND entries.account = piece.account
            AND entries.version = piece.version
    ) AS same ON TRUE
    INNER JOIN LATERAL (
        SELECT
            max(entries.version) AS version,
            max(entries.balance_after) AS balance
        FROM entries
        WHERE
            entries.user_id = piece.user_id
            AND entries.account = piece.account
            AND entries.version = piece.version - 1
    ) AS earlier ON TRUE
    INNER JOIN LATERAL (
        VALUES
        ('user_id', users.id::text, piece.user_id::text),
        ('transaction_id', transactions.id::text, piece.transaction_id::text),
        (
            'account',
            CASE
                WHEN piece.of_wallet THEN piece.account
                WHEN piece.account IN ('promotions', 'payment_provider', 'platform_revenue', 'payouts')
                    THEN piece.account
                ELSE 'a known one'
            END,
            piece.account
        ),
        (
            'amount',
            CASE
                WHEN piece.amount = 0 THEN 'more or less than 0'
                ELSE least(greatest(piece.amount, -1000000000000), 1000000000000)::text
            END,
            piece.amount::text
        ),
        (
            'version',
            CASE
                WHEN NOT piece.of_wallet THEN NULL
                WHEN piece.version >= 1 THEN piece.version::text
                ELSE '1 or more'
            END,
            piece.version::text
        ),
        (
            'number of entries of this version',
            CASE WHEN piece.of_wallet AND piece.version IS NOT NULL THEN '1' ELSE '0' END,
            same.number::text
        ),
        (
            'version of the entry before it',
            CASE WHEN piece.of_wallet AND piece.version > 1 THEN (piece.version - 1)::text END,
            earlier.version::text
        ),
        (
            'balance_after',
            CASE
                WHEN NOT piece.of_wallet THEN NULL
                WHEN piece.balance_after < 0 THEN '0 or more'
                ELSE (coalesce(earlier.balance, 0) + piece.amount)::text
            END,
            piece.balance_after::text
        ),
        ('length of its hash', CASE WHEN piece.of_wallet THEN '32' END, octet_length(piece.hash)::text)
    ) AS looked (field, expected, found) ON looked.expected IS DISTINCT FROM looked.found
)

SELECT
    reached.row_key AS reached,
    reached.rows_seen,
    wrong.row_key,
    wrong.field,
    wrong.expected,
    wrong.found
FROM (
    SELECT
        ARRAY[user_id::text, account, transaction_id::text] AS row_key,
        count(*) OVER () AS rows_seen
    FROM piece
    ORDER BY user_id DESC, account DESC, transaction_id DESC
    LIMIT 1
) AS reached
LEFT JOIN wrong ON TRUE;

-- name: verify_hashes :many
-- The hash of a wallet's entry is that of the entry before it, of its transaction and of all entries of that.
-- row: finding
-- index: entries_pkey, entries_transaction_id_idx, transactions_pkey
-- not null: reached, rows_seen
-- way: own
WITH piece AS MATERIALIZED (
    SELECT
        user_id,
        account,
        transaction_id,
        version,
        hash
    FROM entries
    WHERE
        (user_id, account, transaction_id)
        > (($after::text[])[1]::uuid, ($after::text[])[2], ($after::text[])[3]::uuid)
        AND user_id <= $until::uuid
    ORDER BY user_id, account, transaction_id
    LIMIT $most::bigint
),

moved AS MATERIALIZED (
    SELECT DISTINCT transaction_id
    FROM piece
    WHERE account IN ('coins', 'earnings')
),

digests AS MATERIALIZED (
    SELECT
        moved.transaction_id,
        transaction_digest(transactions, legs.bytes) AS digest
    FROM moved
    INNER JOIN transactions ON moved.transaction_id = transactions.id
    INNER JOIN LATERAL (
        SELECT
            string_agg(
                leg_bytes(
                    entries.user_id, entries.account, entries.amount, entries.version, entries.balance_after
                ),
                '' ORDER BY entries.user_id, entries.account
            ) AS bytes
        FROM entries
        WHERE entries.transaction_id = moved.transaction_id
    ) AS legs ON TRUE
),

wrong AS (
    SELECT
        ARRAY[piece.user_id::text, piece.account, piece.transaction_id::text] AS row_key,
        'hash' AS field,
        encode(rightly.hash, 'hex') AS expected,
        encode(piece.hash, 'hex') AS found
    FROM piece
    INNER JOIN digests ON piece.transaction_id = digests.transaction_id
    LEFT JOIN LATERAL (
        SELECT entries.hash
        FROM entries
        WHERE
            entries.user_id = piece.user_id
            AND entries.account = piece.account
            AND entries.version = piece.version - 1
        ORDER BY entries.hash
        LIMIT 1
    ) AS earlier ON TRUE
    INNER JOIN LATERAL (
        VALUES
        (entry_hash(coalesce(earlier.hash, ''), digests.digest, piece.user_id, piece.account))
    ) AS rightly (hash) ON rightly.hash IS DISTINCT FROM piece.hash
    WHERE piece.account IN ('coins', 'earnings')
)

SELECT
    reached.row_key AS reached,
    reached.rows_seen,
    wrong.row_key,
    wrong.field,
    wrong.expected,
    wrong.found
FROM (
    SELECT
        ARRAY[user_id::text, account, transaction_id::text] AS row_key,
        count(*) OVER () AS rows_seen
    FROM piece
    ORDER BY user_id DESC, account DESC, transaction_id DESC
    LIMIT 1
) AS reached
LEFT JOIN wrong ON TRUE;

-- name: verify_transactions :many
-- A transaction's entries are there and sum to 0, its total is what they move; its payment and its earnings are there where
-- it has any, and the subscription period, refund, bonus or withdrawal that it is for, with as many coins.
-- row: finding
-- index: transactions_user_id_create_time_idx, entries_transaction_id_idx, payments_transaction_id_key, earnings_transaction_id_idx, subscription_periods_transaction_id_key, refunds_transaction_id_key, host_bonuses_transaction_id_key, withdrawals_transaction_id_key
-- not null: reached, rows_seen
-- way: own
WITH piece AS MATERIALIZED (
    SELECT
        id,
        kind,
        user_id,
        total,
        create_time
    FROM transactions
    WHERE
        (user_id, create_time, id)
        > (($after::text[])[1]::uuid, ($after::text[])[2]::timestamptz, ($after::text[])[3]::uuid)
        AND user_id <= $until::uuid
    ORDER BY user_id, create_time, id
    LIMIT $most::bigint
),

wrong AS (
    SELECT
        ARRAY[piece.id::text] AS row_key,
        looked.field,
        looked.expected,
        looked.found
    FROM piece
    LEFT JOIN users ON piece.user_id = users.id
    INNER JOIN LATERAL (
        SELECT
            sum(entries.amount) AS rest,
            sum(entries.amount) FILTER (WHERE entries.amount > 0) AS moved,
            count(*) FILTER (WHERE entries.account IN ('coins', 'earnings')) AS wallets,
            count(*) FILTER (WHERE entries.account = 'earnings' AND entries.amount > 0) AS earned
        FROM entries
        WHERE entries.transaction_id = piece.id
    ) AS legs ON TRUE
    INNER JOIN LATERAL (
        SELECT count(*) AS payments
        FROM payments
        WHERE payments.transaction_id = piece.id
    ) AS paid ON TRUE
    INNER JOIN LATERAL (
        SELECT count(*) AS earnings
        FROM earnings
        WHERE earnings.transaction_id = piece.id
    ) AS gained ON TRUE
    INNER JOIN LATERAL (
        SELECT sum(own.coins) AS coins
        FROM (
            SELECT subscription_periods.coins
            FROM subscription_periods
            WHERE piece.kind = 'subscription' AND subscription_periods.transaction_id = piece.id
            UNION ALL
            SELECT refunds.after - refunds.before
            FROM refunds
            WHERE piece.kind = 'refund' AND refunds.transaction_id = piece.id
            UNION ALL
            SELECT host_bonuses.coins
            FROM host_bonuses
            WHERE piece.kind = 'bonus' AND host_bonuses.transaction_id = piece.id
            UNION ALL
            SELECT withdrawals.amount
            FROM withdrawals
            WHERE piece.kind = 'withdrawal' AND withdrawals.transaction_id = piece.id
        ) AS own (coins)
    ) AS caused ON TRUE
    INNER JOIN LATERAL (
        VALUES
        ('user_id', users.id::text, piece.user_id::text),
        (
            'kind',
            CASE
                WHEN
                    piece.kind IN (
                        'signup_grant', 'purchase', 'call_charge', 'gift', 'subscription', 'bonus', 'withdrawal',
                        'refund', 'adjustment', 'forfeit'
                    )
                    THEN piece.kind
                ELSE 'a known one'
            END,
            piece.kind
        ),
        (
            'number of its entries of wallets',
            CASE WHEN legs.wallets > 0 THEN legs.wallets::text ELSE '1 or more' END,
            legs.wallets::text
        ),
        ('sum of its entries', '0', coalesce(legs.rest, 0)::text),
        ('total', coalesce(legs.moved, 0)::text, piece.total::text),
        ('number of its payments', CASE WHEN piece.kind = 'purchase' THEN '1' ELSE '0' END, paid.payments::text),
        (
            'number of its earnings',
            CASE WHEN piece.kind IN ('call_charge', 'gift', 'bonus') THEN legs.earned ELSE 0 END::text,
            gained.earnings::text
        ),
        (
            'amount of its ' || piece.kind,
            CASE WHEN piece.kind IN ('subscription', 'refund', 'bonus', 'withdrawal') THEN piece.total::text END,
            caused.coins::text
        )
    ) AS looked (field, expected, found) ON looked.expected IS DISTINCT FROM looked.found
)

SELECT
    reached.row_key AS reached,
    reached.rows_seen,
    wrong.row_key,
    wrong.field,
    wrong.expected,
    wrong.found
FROM (
    SELECT
        ARRAY[user_id::text, to_json(create_time) #>> '{}', id::text] AS row_key,
        count(*) OVER () AS rows_seen
    FROM piece
    ORDER BY user_id DESC, create_time DESC, id DESC
    LIMIT 1
) AS reached
LEFT JOIN wrong ON TRUE;

-- name: verify_earnings :many
-- What a host earned is what the transaction gave him.
-- row: finding
-- index: earnings_pkey, transactions_pkey
-- not null: reached, rows_seen
-- way: own
WITH piece AS MATERIALIZED (
    SELECT
        user_id,
        transaction_id,
        kind,
        total,
        host_part,
        platform_part,
        create_time
    FROM earnings
    WHERE
        (user_id, transaction_id) > (($after::text[])[1]::uuid, ($after::text[])[2]::uuid)
        AND user_id <= $until::uuid
    ORDER BY user_id, transaction_id
    LIMIT $most::bigint
),

wrong AS (
    SELECT
        ARRAY[piece.user_id::text, piece.transaction_id::text] AS row_key,
        looked.field,
        looked.expected,
        looked.found
    FROM piece
    LEFT JOIN transactions
        ON
            piece.transaction_id = transactions.id
            AND transactions.kind IN ('call_charge', 'gift', 'bonus')
    LEFT JOIN entries
        ON
            piece.user_id = entries.user_id
            AND entries.account = 'earnings'
            AND piece.transaction_id = entries.transaction_id
            AND entries.amount > 0
    INNER JOIN LATERAL (
        VALUES
        ('kind', transactions.kind, piece.kind),
        ('total', transactions.total::text, piece.total::text),
        ('host_part', entries.amount::text, piece.host_part::text),
        ('platform_part', (transactions.total - entries.amount)::text, piece.platform_part::text),
        ('create_time', to_json(transactions.create_time) #>> '{}', to_json(piece.create_time) #>> '{}')
    ) AS looked (field, expected, found) ON looked.expected IS DISTINCT FROM looked.found
)

SELECT
    reached.row_key AS reached,
    reached.rows_seen,
    wrong.row_key,
    wrong.field,
    wrong.expected,
    wrong.found
FROM (
    SELECT
        ARRAY[user_id::text, transaction_id::text] AS row_key,
        count(*) OVER () AS rows_seen
    FROM piece
    ORDER BY user_id DESC, transaction_id DESC
    LIMIT 1
) AS reached
LEFT JOIN wrong ON TRUE;

-- name: verify_payments :many
-- What a payment credited is what its transaction says.
-- row: finding
-- index: payments_user_id_idx, transactions_pkey
-- not null: reached, rows_seen
-- way: own
WITH piece AS MATERIALIZED (
    SELECT
        user_id,
        provider,
        payment_id,
        coins,
        transaction_id
    FROM payments
    WHERE
        (user_id, provider, payment_id)
        > (($after::text[])[1]::uuid, ($after::text[])[2], ($after::text[])[3])
        AND user_id <= $until::uuid
    ORDER BY user_id, provider, payment_id
    LIMIT $most::bigint
),

wrong AS (
    SELECT
        ARRAY[piece.provider, piece.payment_id] AS row_key,
        looked.field,
        looked.expected,
        looked.found
    FROM piece
    LEFT JOIN transactions ON piece.transaction_id = transactions.id AND transactions.kind = 'purchase'
    LEFT JOIN entries
        ON
            piece.user_id = entries.user_id
            AND entries.account = 'coins'
            AND piece.transaction_id = entries.transaction_id
    INNER JOIN LATERAL (
        VALUES
        ('transaction_id', transactions.id::text, piece.transaction_id::text),
        ('user_id', transactions.user_id::text, piece.user_id::text),
        ('coins', entries.amount::text, piece.coins::text)
    ) AS looked (field, expected, found) ON looked.expected IS DISTINCT FROM looked.found
)

SELECT
    reached.row_key AS reached,
    reached.rows_seen,
    wrong.row_key,
    wrong.field,
    wrong.expected,
    wrong.found
FROM (
    SELECT
        ARRAY[user_id::text, provider, payment_id] AS row_key,
        count(*) OVER () AS rows_seen
    FROM piece
    ORDER BY user_id DESC, provider DESC, payment_id DESC
    LIMIT 1
) AS reached
LEFT JOIN wrong ON TRUE;

-- name: list_heads :many
-- The last entry of each wallet that has one, in the order of the wallets: those behind the key `after`.
-- index: wallets_pkey
-- not null: user_id, kind, version, hash
-- way: own
SELECT
    user_id::text AS user_id,
    kind,
    version,
    encode(head_hash, 'hex') AS hash
FROM wallets
WHERE
    (user_id, kind) > (($after::text[])[1]::uuid, ($after::text[])[2])
    AND version > 0
ORDER BY user_id, kind
LIMIT $most::bigint;

-- name: verify_heads :many
-- The wallets, of those given with a version and its hash, in which the entry of that version has another hash, or is
-- missing (then `found` is null).
-- index: entries_balance_after_key
-- not null: user_id, account, version, expected
-- way: own
SELECT
    sealed.user_id::text AS user_id,
    sealed.account,
    sealed.version,
    sealed.digest AS expected,
    encode(entries.hash, 'hex') AS found
FROM (
    SELECT
        unnest($user_ids::uuid[]) AS user_id,
        unnest($accounts::text[]) AS account,
        unnest($versions::bigint[]) AS version,
        unnest($digests::text[]) AS digest
) AS sealed
LEFT JOIN entries
    ON
        sealed.user_id = entries.user_id
        AND sealed.account = entries.account
        AND sealed.version = entries.version
WHERE encode(entries.hash, 'hex') IS DISTINCT FROM sealed.digest;

-- name: estimate_rows :many
-- About how many rows each of these tables has, as PostgreSQL last counted.
-- plan: the catalogue is small
-- not null: table_name, estimate
-- way: own
SELECT
    pg_class.relname::text AS table_name,
    greatest(pg_class.reltuples, 0)::bigint AS estimate
FROM pg_class
WHERE pg_class.relnamespace = 'public'::regnamespace AND pg_class.relname = ANY($names::text[]);

-- name: find_anybody :one
-- Whether there is, or was, a user of this id. No row: there was none.
-- index: users_pkey
-- not null: user_id
-- way: own
SELECT id::text AS user_id
FROM users
WHERE id = $user_id::uuid;
