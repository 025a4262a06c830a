-- Coins: the queries of WalletService. Whatever moves coins locks the wallets first, in a statement of its own for each,
-- in the order of (user_id, kind), and decides in the next: the parts of one statement share a snapshot from before its
-- locks. post() writes the movement.

-- name: lock_wallet :exec
-- Makes everybody else who would move this wallet's coins wait for the end of the unit. 0: there is no such wallet.
-- index: wallets_pkey
-- repeatable: it only locks
SELECT user_id
FROM wallets
WHERE
    user_id = $user_id::uuid
    AND kind = $kind::text
FOR NO KEY UPDATE;

-- name: get_wallet :one
-- Both wallets of a living user. No row: there is no such user.
-- index: wallets_pkey, living_users_pkey
-- not null: user_id, coins_available, coins_held, earnings_available, earnings_held
SELECT
    living_users.user_id::text AS user_id,
    coins.available AS coins_available,
    coins.held AS coins_held,
    earnings.available AS earnings_available,
    earnings.held AS earnings_held
FROM living_users
INNER JOIN wallets AS coins ON living_users.user_id = coins.user_id AND coins.kind = 'coins'
INNER JOIN wallets AS earnings ON living_users.user_id = earnings.user_id AND earnings.kind = 'earnings'
WHERE living_users.user_id = $user_id::uuid;

-- name: purchase_coins :one
-- Credits a payment to a living user unless it has been credited: then it returns what was done, to whomever. No row:
-- there is no such user.
-- index: payments_pkey, wallets_pkey
-- not null: user_id, coins, transaction_id, balance_after, create_time
-- repeatable: a payment is credited once
-- collides: payments_pkey, transactions_pkey
WITH prior AS (
    SELECT
        payments.user_id,
        payments.coins,
        payments.transaction_id,
        entries.balance_after,
        micros(transactions.create_time) AS create_time
    FROM payments
    INNER JOIN transactions ON payments.transaction_id = transactions.id
    INNER JOIN entries
        ON
            payments.user_id = entries.user_id
            AND entries.account = 'coins'
            AND payments.transaction_id = entries.transaction_id
    WHERE payments.provider = $provider::text AND payments.payment_id = $payment_id::text
),

act AS (
    SELECT
        wallets.user_id,
        $coins::bigint AS coins,
        $transaction_id::uuid AS transaction_id,
        wallets.balance + $coins::bigint AS balance_after
    FROM wallets
    INNER JOIN living_users ON wallets.user_id = living_users.user_id
    WHERE
        wallets.user_id = $user_id::uuid
        AND wallets.kind = 'coins'
        AND NOT EXISTS (SELECT FROM prior)
),

posted AS (
    SELECT
        act.user_id,
        act.coins,
        act.transaction_id,
        act.balance_after,
        post(
            act.transaction_id, 'purchase', act.user_id, NULL, $actor_id::uuid,
            ARRAY[
                (act.user_id, 'coins', act.coins, 0)::leg,
                (act.user_id, 'payment_provider', -act.coins, 0)::leg
            ]
        ) AS create_time
    FROM act
),

credited AS (
    INSERT INTO payments (provider, payment_id, user_id, coins, transaction_id)
    SELECT
        $provider::text,
        $payment_id::text,
        user_id,
        coins,
        transaction_id
    FROM posted
)

SELECT
    user_id::text AS user_id,
    coins,
    transaction_id::text AS transaction_id,
    balance_after,
    create_time
FROM prior
UNION ALL
SELECT
    user_id::text,
    coins,
    transaction_id::text,
    balance_after,
    create_time
FROM posted;

-- name: grant_signup :exec
-- The coins of a user whom this unit has made, unless his phone number had its grant before.
-- index: users_pkey
-- repeatable: a phone number has one grant
WITH granted AS (
    INSERT INTO signup_grants (phone_hash, create_time)
    SELECT
        decode($phone_hash::text, 'hex'),
        clock()
    FROM users
    WHERE id = $user_id::uuid AND $coins::bigint > 0
    ON CONFLICT (phone_hash) DO NOTHING
    RETURNING phone_hash
)

SELECT
    post(
        $transaction_id::uuid, 'signup_grant', $user_id::uuid, NULL, $actor_id::uuid,
        ARRAY[
            ($user_id::uuid, 'coins', $coins::bigint, 0)::leg,
            ($user_id::uuid, 'promotions', -$coins::bigint, 0)::leg
        ]
    ) AS create_time
FROM granted;

-- name: forfeit :exec
-- Takes what a living user leaves who is about to be erased: his coins, and his earnings if he agrees to that. Nothing
-- while coins are held, or while he has earnings and does not agree. His wallets are locked.
-- index: wallets_pkey, living_users_pkey
-- repeatable: nothing is left to take
WITH leaving AS (
    SELECT
        living_users.user_id,
        coins.balance AS coins,
        earnings.balance AS earnings
    FROM living_users
    INNER JOIN wallets AS coins ON living_users.user_id = coins.user_id AND coins.kind = 'coins'
    INNER JOIN wallets AS earnings ON living_users.user_id = earnings.user_id AND earnings.kind = 'earnings'
    WHERE
        living_users.user_id = $user_id::uuid
        AND coins.held + earnings.held = 0
        AND coins.balance + earnings.balance > 0
        AND (earnings.balance = 0 OR $forfeit_balance::boolean)
)

SELECT
    post(
        $transaction_id::uuid, 'forfeit', user_id, NULL, $actor_id::uuid,
        ARRAY[
            (user_id, 'coins', -coins, 0)::leg,
            (user_id, 'earnings', -earnings, 0)::leg,
            (user_id, 'platform_revenue', coins + earnings, 0)::leg
        ]
    ) AS create_time
FROM leaving;

-- name: purge_idempotency_keys :one
-- Forgets keys of money requests that are 30 days old, at most `at_most`, and says how many they were.
-- way: own
-- plan: one function
-- repeatable: what is gone stays so
-- not null: purged_count
SELECT purge_idempotency_keys($at_most::int4) AS purged_count;
