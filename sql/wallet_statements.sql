-- What happened to somebody's coins: statements of wallets, of earnings, and their sums.

-- name: list_transactions :many
-- One page of what moved a wallet in some ways, newest first: its entries with a version below `before`.
-- index: entries_balance_after_key, transactions_pkey, transaction_notes_pkey
-- not null: transaction_id, user_id, wallet, kind, amount, balance_after, subject_id, create_time, version, note
SELECT
    entries.transaction_id::text AS transaction_id,
    entries.user_id::text AS user_id,
    entries.account AS wallet,
    transactions.kind,
    entries.amount,
    entries.balance_after,
    coalesce(transactions.subject_id::text, '') AS subject_id,
    micros(transactions.create_time) AS create_time,
    entries.version,
    coalesce(transaction_notes.note, '') AS note
FROM entries
INNER JOIN transactions ON entries.transaction_id = transactions.id
LEFT JOIN transaction_notes
    ON transactions.user_id = transaction_notes.user_id AND transactions.id = transaction_notes.transaction_id
WHERE
    entries.user_id = $user_id::uuid
    AND entries.account = $wallet::text
    AND entries.version < $before::bigint
    AND transactions.kind = ANY($kinds::text[])
ORDER BY entries.version DESC
LIMIT $count::bigint;

-- name: get_transaction_stats :many
-- How much each kind of movement changed a wallet from one time up to another, in all and on average.
-- index: entries_pkey, transactions_pkey
-- not null: kind, movements, amount, average
-- way: own
SELECT
    transactions.kind,
    count(*) AS movements,
    sum(entries.amount)::bigint AS amount,
    avg(entries.amount)::float8 AS average
FROM entries
INNER JOIN transactions ON entries.transaction_id = transactions.id
WHERE
    entries.user_id = $user_id::uuid
    AND entries.account = $wallet::text
    AND transactions.create_time >= 'epoch'::timestamptz + $from_time::bigint * interval '1 microsecond'
    AND transactions.create_time < 'epoch'::timestamptz + $until_time::bigint * interval '1 microsecond'
GROUP BY transactions.kind
ORDER BY transactions.kind;

-- name: list_earnings :many
-- One page of what a host earned, newest first, and what of it was taken back since.
-- index: earnings_user_id_create_time_idx, refunds_after_key
-- not null: user_id, transaction_id, kind, total, host_part, platform_part, refunded, taken_back, create_time
SELECT
    earnings.user_id::text AS user_id,
    earnings.transaction_id::text AS transaction_id,
    earnings.kind,
    earnings.total,
    earnings.host_part,
    earnings.platform_part,
    back.refunded,
    back.taken_back,
    micros(earnings.create_time) AS create_time
FROM earnings
CROSS JOIN
    LATERAL (
        SELECT
            coalesce(max(refunds.after), 0) AS refunded,
            coalesce(sum(refunds.taken_back), 0)::bigint AS taken_back
        FROM refunds
        WHERE refunds.original_id = earnings.transaction_id
    ) AS back
WHERE
    earnings.user_id = $user_id::uuid
    AND (earnings.create_time, earnings.transaction_id)
    < ('epoch'::timestamptz + $before_time::bigint * interval '1 microsecond', $before_id::uuid)
ORDER BY earnings.create_time DESC, earnings.transaction_id DESC
LIMIT $count::bigint;

-- name: get_earnings_summary :many
-- What a host earned from one time up to another by each kind of movement, without what of it was taken back since.
-- index: earnings_user_id_create_time_idx, refunds_host_id_idx
-- not null: kind, earnings, total, host_part, platform_part
-- way: own
WITH earned AS (
    SELECT
        kind,
        count(*) AS earnings,
        sum(total)::bigint AS total,
        sum(host_part)::bigint AS host_part
    FROM earnings
    WHERE
        user_id = $user_id::uuid
        AND create_time >= 'epoch'::timestamptz + $from_time::bigint * interval '1 microsecond'
        AND create_time < 'epoch'::timestamptz + $until_time::bigint * interval '1 microsecond'
    GROUP BY kind
),

back AS (
    SELECT
        earnings.kind,
        sum(refunds.after - refunds.before)::bigint AS total,
        sum(refunds.taken_back)::bigint AS host_part
    FROM refunds
    INNER JOIN earnings ON refunds.host_id = earnings.user_id AND refunds.original_id = earnings.transaction_id
    WHERE
        refunds.host_id = $user_id::uuid
        AND earnings.create_time >= 'epoch'::timestamptz + $from_time::bigint * interval '1 microsecond'
        AND earnings.create_time < 'epoch'::timestamptz + $until_time::bigint * interval '1 microsecond'
    GROUP BY earnings.kind
),

net AS (
    SELECT
        earned.kind,
        earned.earnings,
        earned.total - coalesce(back.total, 0) AS total,
        earned.host_part - coalesce(back.host_part, 0) AS host_part
    FROM earned
    LEFT JOIN back ON earned.kind = back.kind
)

SELECT
    kind,
    earnings,
    total,
    host_part,
    total - host_part AS platform_part
FROM net
ORDER BY kind;
