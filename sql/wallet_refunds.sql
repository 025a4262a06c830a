-- What staff move of others' coins: the queries of WalletService that take a transaction back and correct a balance.
-- They lock before they act, as wallet.sql says. A request_id has one outcome, which is stored in the statement that
-- acts; where its key has expired, the transaction that it made tells what the outcome was. Whoever is erased while it runs
-- is found missing when it is sent again: the note of his can't be written any more.

-- name: lock_moved_wallet :exec
-- Does what lock_wallet does for a wallet that a user's transaction moved: in the order of (user_id, kind) the first one
-- for place 0, the second one for place 1. 0: it moved no wallet more.
-- index: wallets_pkey, entries_transaction_id_idx, transactions_pkey
-- repeatable: it only locks
SELECT wallets.user_id
FROM wallets
WHERE
    (wallets.user_id, wallets.kind) = (
        SELECT
            entries.user_id,
            entries.account
        FROM entries
        INNER JOIN transactions ON entries.transaction_id = transactions.id
        WHERE
            entries.transaction_id = $transaction_id::uuid
            AND entries.account IN ('coins', 'earnings')
            AND transactions.user_id = $user_id::uuid
        ORDER BY entries.user_id, entries.account
        LIMIT
            1
            OFFSET $place::bigint
    )
FOR NO KEY UPDATE;

-- name: refund_transaction :one
-- Takes coins of a user's transaction back, all that are left of it without `coins`, or refuses. The host gives back the
-- difference of two rounded shares, so that all refunds of a transaction together take his part to the coin, and no more
-- than he has available.
-- index: idempotency_keys_pkey, transactions_pkey, refunds_after_key, refunds_transaction_id_key, wallets_pkey
-- optional: coins
-- not null: fingerprint, outcome
-- repeatable: a request_id has one outcome
-- collides: idempotency_keys_pkey, transactions_pkey, refunds_pkey, transaction_notes_user_id_fkey
WITH prior AS (
    SELECT
        encode(fingerprint, 'hex') AS fingerprint,
        outcome
    FROM idempotency_keys
    WHERE actor_id = $actor_id::uuid AND request_id = $request_id::uuid
),

expired AS (
    SELECT
        CASE
            WHEN
                refunds.user_id = $user_id::uuid
                AND refunds.original_id = $transaction_id::uuid
                AND transactions.total = coalesce($coins::bigint, transactions.total)
                THEN $fingerprint::text
            ELSE ''
        END AS fingerprint,
        jsonb_build_object(
            'amount', paid.amount,
            'balance_after', paid.balance_after,
            'refunded', refunds.after,
            'taken_back', refunds.taken_back,
            'create_time', micros(transactions.create_time)
        ) AS outcome
    FROM transactions
    LEFT JOIN refunds ON transactions.id = refunds.transaction_id
    LEFT JOIN entries AS paid
        ON refunds.user_id = paid.user_id AND paid.account = 'coins' AND refunds.transaction_id = paid.transaction_id
    WHERE transactions.id = $refund_id::uuid AND NOT EXISTS (SELECT FROM prior)
),

asked AS (
    SELECT $user_id::uuid AS user_id
    WHERE NOT EXISTS (SELECT FROM prior) AND NOT EXISTS (SELECT FROM expired)
),

found AS (
    SELECT
        asked.user_id,
        living_users.user_id IS NOT NULL AS lives,
        transactions.id AS original_id,
        transactions.kind,
        transactions.total,
        marks.before,
        coalesce($coins::bigint, transactions.total - marks.before) AS coins,
        coins.available,
        coins.balance,
        earnings.user_id AS host_id,
        coalesce(earnings.host_part, 0) AS host_part,
        coalesce(earned.available, 0) AS host_available
    FROM asked
    LEFT JOIN living_users ON asked.user_id = living_users.user_id
    LEFT JOIN transactions ON asked.user_id = transactions.user_id AND transactions.id = $transaction_id::uuid
    LEFT JOIN earnings ON transactions.id = earnings.transaction_id
    LEFT JOIN wallets AS coins ON asked.user_id = coins.user_id AND coins.kind = 'coins'
    LEFT JOIN wallets AS earned ON earnings.user_id = earned.user_id AND earned.kind = 'earnings'
    CROSS JOIN LATERAL (
        SELECT coalesce(max(refunds.after), 0) AS before
        FROM refunds
        WHERE refunds.original_id = transactions.id
    ) AS marks
),

decided AS (
    SELECT
        user_id,
        original_id,
        kind,
        before,
        before + coins AS after,
        coins,
        CASE kind WHEN 'purchase' THEN balance - coins ELSE balance + coins END AS balance_after,
        host_id,
        -- numeric only between the multiplication and the division, which int8 might not hold
        least(
            div((before + coins)::numeric * host_part, total) - div(before::numeric * host_part, total),
            host_available
        )::bigint AS taken_back,
        CASE
            WHEN NOT lives
                THEN jsonb_build_object('refusal', 'USER_NOT_FOUND', 'user_id', user_id)
            WHEN original_id IS NULL
                THEN jsonb_build_object('refusal', 'TRANSACTION_NOT_FOUND', 'transaction_id', $transaction_id::uuid)
            WHEN kind NOT IN ('purchase', 'call_charge', 'gift', 'subscription')
                THEN jsonb_build_object('refusal', 'TRANSACTION_NOT_REFUNDABLE', 'kind', kind)
            WHEN before = total
                THEN jsonb_build_object('refusal', 'TRANSACTION_REFUNDED')
            WHEN before + coins > total
                THEN jsonb_build_object('refusal', 'REFUND_TOO_LARGE', 'left', total - before)
            WHEN kind = 'purchase' AND coins > available
                THEN jsonb_build_object('refusal', 'PURCHASE_SPENT', 'available', available)
        END AS refusal
    FROM found
),

posted AS (
    SELECT
        user_id,
        original_id,
        before,
        after,
        balance_after,
        host_id,
        taken_back,
        CASE kind WHEN 'purchase' THEN -coins ELSE coins END AS amount,
        post(
            $refund_id::uuid, 'refund', user_id, original_id, $actor_id::uuid,
            CASE kind
                WHEN 'purchase'
                    THEN ARRAY[
                        (user_id, 'coins', -coins, 0)::leg,
                        (user_id, 'payment_provider', coins, 0)::leg
                    ]
                ELSE ARRAY[
                    (user_id, 'coins', coins, 0)::leg,
                    (host_id, 'earnings', -taken_back, 0)::leg,
                    (user_id, 'platform_revenue', taken_back - coins, 0)::leg
                ]
            END
        ) AS create_time
    FROM decided
    WHERE refusal IS NULL
),

marked AS (
    INSERT INTO refunds (original_id, before, after, user_id, host_id, taken_back, transaction_id)
    SELECT
        original_id,
        before,
        after,
        user_id,
        host_id,
        taken_back,
        $refund_id::uuid
    FROM posted
),

noted AS (
    INSERT INTO transaction_notes (user_id, transaction_id, note)
    SELECT
        user_id,
        $refund_id::uuid,
        $note::text
    FROM posted
),

done AS (
    INSERT INTO idempotency_keys (actor_id, request_id, fingerprint, outcome, create_time)
    SELECT
        $actor_id::uuid,
        $request_id::uuid,
        decode($fingerprint::text, 'hex'),
        coalesce(
            decided.refusal,
            jsonb_build_object(
                'amount', posted.amount,
                'balance_after', posted.balance_after,
                'refunded', posted.after,
                'taken_back', posted.taken_back,
                'create_time', posted.create_time
            )
        ),
        clock()
    FROM decided
    LEFT JOIN posted ON decided.user_id = posted.user_id
    RETURNING encode(fingerprint, 'hex') AS fingerprint, outcome
)

SELECT
    fingerprint,
    outcome::text AS outcome
FROM prior
UNION ALL
SELECT
    fingerprint,
    outcome::text
FROM expired
UNION ALL
SELECT
    fingerprint,
    outcome::text
FROM done;

-- name: adjust_balance :one
-- Moves coins between the platform's promotions and a wallet of a living user, or refuses: into it, or out of it if
-- `amount` is negative.
-- index: idempotency_keys_pkey, transactions_pkey, wallets_pkey
-- not null: fingerprint, outcome
-- repeatable: a request_id has one outcome
-- collides: idempotency_keys_pkey, transactions_pkey, transaction_notes_user_id_fkey
WITH prior AS (
    SELECT
        encode(fingerprint, 'hex') AS fingerprint,
        outcome
    FROM idempotency_keys
    WHERE actor_id = $actor_id::uuid AND request_id = $request_id::uuid
),

expired AS (
    SELECT
        CASE
            WHEN transactions.kind = 'adjustment' AND entries.amount = $amount::bigint THEN $fingerprint::text
            ELSE ''
        END AS fingerprint,
        jsonb_build_object(
            'balance_after', entries.balance_after, 'create_time', micros(transactions.create_time)
        ) AS outcome
    FROM transactions
    LEFT JOIN entries
        ON
            transactions.id = entries.transaction_id
            AND entries.user_id = $user_id::uuid
            AND entries.account = $kind::text
    WHERE transactions.id = $transaction_id::uuid AND NOT EXISTS (SELECT FROM prior)
),

asked AS (
    SELECT $user_id::uuid AS user_id
    WHERE NOT EXISTS (SELECT FROM prior) AND NOT EXISTS (SELECT FROM expired)
),

decided AS (
    SELECT
        asked.user_id,
        wallets.balance + $amount::bigint AS balance_after,
        CASE
            WHEN living_users.user_id IS NULL
                THEN jsonb_build_object('refusal', 'USER_NOT_FOUND', 'user_id', asked.user_id)
            WHEN wallets.available + $amount::bigint < 0
                THEN jsonb_build_object('refusal', 'BALANCE_INSUFFICIENT', 'available', wallets.available)
        END AS refusal
    FROM asked
    LEFT JOIN living_users ON asked.user_id = living_users.user_id
    LEFT JOIN wallets ON asked.user_id = wallets.user_id AND wallets.kind = $kind::text
),

posted AS (
    SELECT
        user_id,
        balance_after,
        post(
            $transaction_id::uuid, 'adjustment', user_id, NULL, $actor_id::uuid,
            ARRAY[
                (user_id, $kind::text, $amount::bigint, 0)::leg,
                (user_id, 'promotions', -$amount::bigint, 0)::leg
            ]
        ) AS create_time
    FROM decided
    WHERE refusal IS NULL
),

noted AS (
    INSERT INTO transaction_notes (user_id, transaction_id, note)
    SELECT
        user_id,
        $transaction_id::uuid,
        $note::text
    FROM posted
),

done AS (
    INSERT INTO idempotency_keys (actor_id, request_id, fingerprint, outcome, create_time)
    SELECT
        $actor_id::uuid,
        $request_id::uuid,
        decode($fingerprint::text, 'hex'),
        coalesce(
            decided.refusal,
            jsonb_build_object('balance_after', posted.balance_after, 'create_time', posted.create_time)
        ),
        clock()
    FROM decided
    LEFT JOIN posted ON decided.user_id = posted.user_id
    RETURNING encode(fingerprint, 'hex') AS fingerprint, outcome
)

SELECT
    fingerprint,
    outcome::text AS outcome
FROM prior
UNION ALL
SELECT
    fingerprint,
    outcome::text
FROM expired
UNION ALL
SELECT
    fingerprint,
    outcome::text
FROM done;
