-- What is stored about one person: its erasure, and its export, table by table in the order of the queries here.
-- A query `export_<table>` is all that a table needs to be part of ExportUserData: it gives the person's rows as JSON
-- text in a column `record`, ordered by key.

-- name: delete_user :exec
-- Erases a living user who has no coins left: his row becomes a tombstone, and the rows that refer to living_users go
-- with him. His wallets are locked.
-- repeatable: a tombstone stays as it is
-- way: own
-- index: users_pkey, wallets_pkey
UPDATE users
SET
    phone_number = NULL,
    country_code = NULL,
    full_name = NULL,
    email = NULL,
    username = NULL,
    avatar = NULL,
    bio = NULL,
    gender = NULL,
    birth_date = NULL,
    role = 'user',
    firebase_uid = NULL,
    timezone = NULL,
    is_verified = FALSE,
    is_active = FALSE,
    host_status = 'none',
    audio_rate = 0,
    video_rate = 0,
    update_time = clock(),
    delete_time = clock()
WHERE
    id = $user_id::uuid
    AND delete_time IS NULL
    AND NOT EXISTS (
        SELECT FROM wallets
        WHERE wallets.user_id = users.id AND wallets.balance > 0
    );

-- name: get_end :one
-- When a user was deleted, or what keeps him from it. No row: there is no such user.
-- index: users_pkey, wallets_pkey
-- not null: coins_held, earnings_available, earnings_held
SELECT
    micros(users.delete_time) AS delete_time,
    coins.held AS coins_held,
    earnings.available AS earnings_available,
    earnings.held AS earnings_held
FROM users
INNER JOIN wallets AS coins ON users.id = coins.user_id AND coins.kind = 'coins'
INNER JOIN wallets AS earnings ON users.id = earnings.user_id AND earnings.kind = 'earnings'
WHERE users.id = $user_id::uuid;

-- name: export_users :many
-- The account and profile of a living user. No row: there is no such user, or no more.
-- row: record
-- way: own
-- index: users_pkey
-- not null: record
SELECT to_jsonb(users)::text AS record
FROM users
WHERE
    id = $user_id::uuid
    AND delete_time IS NULL;

-- name: export_wallets :many
-- What a user has. No row: there is no such user.
-- row: record
-- way: own
-- index: wallets_pkey
-- not null: record
SELECT to_jsonb(wallets)::text AS record
FROM wallets
WHERE user_id = $user_id::uuid
ORDER BY kind;

-- name: export_transactions :many
-- Every movement that was about a user. No row: there was none.
-- row: record
-- way: own
-- index: transactions_user_id_create_time_idx
-- not null: record
SELECT to_jsonb(transactions)::text AS record
FROM transactions
WHERE user_id = $user_id::uuid
ORDER BY create_time, id;

-- name: export_entries :many
-- What came into a user's wallets and went out of them. No row: nothing did.
-- row: record
-- way: own
-- plan: each of the three keys of entries begins with the user, and any of them serves
-- not null: record
SELECT to_jsonb(entries)::text AS record
FROM entries
WHERE
    user_id = $user_id::uuid
    AND version IS NOT NULL
ORDER BY account, version;

-- name: export_earnings :many
-- What a user earned as a host. No row: nothing.
-- row: record
-- way: own
-- index: earnings_user_id_create_time_idx
-- not null: record
SELECT to_jsonb(earnings)::text AS record
FROM earnings
WHERE user_id = $user_id::uuid
ORDER BY create_time, transaction_id;

-- name: export_payments :many
-- The payments that were credited to a user. No row: none was.
-- row: record
-- way: own
-- index: payments_user_id_idx
-- not null: record
SELECT to_jsonb(payments)::text AS record
FROM payments
WHERE user_id = $user_id::uuid
ORDER BY provider, payment_id;

-- name: export_presence :many
-- When a user was last seen. No row: never.
-- row: record
-- way: own
-- index: presence_pkey
-- not null: record
SELECT to_jsonb(presence)::text AS record
FROM presence
WHERE user_id = $user_id::uuid
ORDER BY user_id;

-- name: export_hosts :many
-- A host as he is rated. No row: the user is none.
-- row: record
-- way: own
-- index: hosts_pkey
-- not null: record
SELECT to_jsonb(hosts)::text AS record
FROM hosts
WHERE user_id = $user_id::uuid
ORDER BY user_id;

-- name: export_host_verifications :many
-- What a user asked for to become a host, and what was decided. No row: he never asked.
-- row: record
-- way: own
-- index: host_verifications_pkey
-- not null: record
SELECT to_jsonb(host_verifications)::text AS record
FROM host_verifications
WHERE user_id = $user_id::uuid
ORDER BY id;

-- name: export_notifications :many
-- What a user was told. No row: nothing that is still there.
-- row: record
-- way: own
-- index: notifications_pkey
-- not null: record
SELECT to_jsonb(notifications)::text AS record
FROM notifications
WHERE user_id = $user_id::uuid
ORDER BY id;

-- name: export_user_activities :many
-- What a user did. No row: nothing in 13 months.
-- row: record
-- way: own
-- plan: the key of each month's partition
-- not null: record
SELECT to_jsonb(user_activities)::text AS record
FROM user_activities
WHERE user_id = $user_id::uuid
ORDER BY occur_time, id;

-- name: export_withdrawals :many
-- What a host asked to have paid out, and what came of it. No row: nothing.
-- row: record
-- way: own
-- index: withdrawals_user_id_create_time_idx
-- not null: record
SELECT to_jsonb(withdrawals)::text AS record
FROM withdrawals
WHERE user_id = $user_id::uuid
ORDER BY create_time, id;

-- name: export_withdrawal_details :many
-- Where a host's withdrawals were to go. No row: there was none.
-- row: record
-- way: own
-- index: withdrawal_details_pkey
-- not null: record
SELECT to_jsonb(withdrawal_details)::text AS record
FROM withdrawal_details
WHERE user_id = $user_id::uuid
ORDER BY withdrawal_id;

-- name: export_host_bonuses :many
-- The bonuses that a host was given. No row: none.
-- row: record
-- way: own
-- index: host_bonuses_user_id_create_time_idx
-- not null: record
SELECT to_jsonb(host_bonuses)::text AS record
FROM host_bonuses
WHERE user_id = $user_id::uuid
ORDER BY create_time, transaction_id;

-- name: export_subscriptions :many
-- A user's subscriptions. No row: he had none.
-- row: record
-- way: own
-- plan: either of two indexes that begin with the user
-- not null: record
SELECT to_jsonb(subscriptions)::text AS record
FROM subscriptions
WHERE user_id = $user_id::uuid
ORDER BY id;

-- name: export_subscription_periods :many
-- The periods that a user paid for. No row: none.
-- row: record
-- way: own
-- plan: either of two indexes that begin with the user
-- not null: record
SELECT to_jsonb(subscription_periods)::text AS record
FROM subscription_periods
WHERE user_id = $user_id::uuid
ORDER BY place;

-- name: export_refunds :many
-- What was taken back of a user's transactions. No row: nothing.
-- row: record
-- way: own
-- index: refunds_user_id_idx
-- not null: record
SELECT to_jsonb(refunds)::text AS record
FROM refunds
WHERE user_id = $user_id::uuid
ORDER BY original_id, before;

-- name: export_transaction_notes :many
-- What staff wrote about a user's transactions. No row: nothing.
-- row: record
-- way: own
-- index: transaction_notes_pkey
-- not null: record
SELECT to_jsonb(transaction_notes)::text AS record
FROM transaction_notes
WHERE user_id = $user_id::uuid
ORDER BY transaction_id;
