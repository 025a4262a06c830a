-- Bonuses: the queries of WalletService about what hosts get beside what they are paid.

-- name: award_bonus :one
-- Gives an approved host the bonus of a rule and a period unless he has it: then it returns the one that he has. No row:
-- the user is no living, approved host.
-- index: host_bonuses_pkey, wallets_pkey, users_pkey, living_users_pkey
-- not null: user_id, rule, period, coins, transaction_id, create_time, balance_after
-- repeatable: a host has one bonus of a rule and a period
-- collides: host_bonuses_pkey, transactions_pkey
WITH prior AS (
    SELECT
        host_bonuses.user_id,
        host_bonuses.rule,
        host_bonuses.period,
        host_bonuses.coins,
        host_bonuses.transaction_id,
        micros(host_bonuses.create_time) AS create_time,
        entries.balance_after
    FROM host_bonuses
    INNER JOIN entries
        ON
            host_bonuses.user_id = entries.user_id
            AND entries.account = 'earnings'
            AND host_bonuses.transaction_id = entries.transaction_id
    WHERE
        host_bonuses.user_id = $user_id::uuid
        AND host_bonuses.rule = $rule::text
        AND host_bonuses.period = $period::text
),

act AS (
    SELECT
        wallets.user_id,
        wallets.balance + $coins::bigint AS balance_after
    FROM wallets
    INNER JOIN living_users ON wallets.user_id = living_users.user_id
    INNER JOIN users ON wallets.user_id = users.id
    WHERE
        wallets.user_id = $user_id::uuid
        AND wallets.kind = 'earnings'
        AND users.host_status = 'approved'
        AND NOT EXISTS (SELECT FROM prior)
),

posted AS (
    SELECT
        act.user_id,
        act.balance_after,
        post(
            $transaction_id::uuid, 'bonus', act.user_id, NULL, $actor_id::uuid,
            ARRAY[
                (act.user_id, 'earnings', $coins::bigint, 0)::leg,
                (act.user_id, 'promotions', -$coins::bigint, 0)::leg
            ]
        ) AS create_time
    FROM act
),

awarded AS (
    INSERT INTO host_bonuses (user_id, rule, period, coins, transaction_id, create_time)
    SELECT
        user_id,
        $rule::text,
        $period::text,
        $coins::bigint,
        $transaction_id::uuid,
        clock()
    FROM posted
    RETURNING user_id, rule, period, coins, transaction_id, create_time
)

SELECT
    user_id::text AS user_id,
    rule,
    period,
    coins,
    transaction_id::text AS transaction_id,
    create_time,
    balance_after
FROM prior
UNION ALL
SELECT
    awarded.user_id::text,
    awarded.rule,
    awarded.period,
    awarded.coins,
    awarded.transaction_id::text,
    posted.create_time,
    posted.balance_after
FROM awarded
INNER JOIN posted ON awarded.user_id = posted.user_id;

-- name: list_bonuses :many
-- One page of a host's bonuses, newest first.
-- index: host_bonuses_user_id_create_time_idx
-- not null: user_id, rule, period, coins, transaction_id, create_time
SELECT
    user_id::text AS user_id,
    rule,
    period,
    coins,
    transaction_id::text AS transaction_id,
    micros(create_time) AS create_time
FROM host_bonuses
WHERE
    user_id = $user_id::uuid
    AND (create_time, transaction_id)
    < ('epoch'::timestamptz + $before_time::bigint * interval '1 microsecond', $before_id::uuid)
ORDER BY create_time DESC, transaction_id DESC
LIMIT $count::bigint;
