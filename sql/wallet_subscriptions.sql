-- Subscriptions: the queries of WalletService about plans and paid periods, and those of their renewal. What changes one
-- locks the coins wallet of its user first, in a statement of its own, so that state can be read and changed in the
-- next: lock_wallet of wallet.sql. Whether a subscription runs is said by its periods and clock(), by nothing stored.

-- name: subscribe :one
-- Charges the first period of a new subscription, or switches renewal on again for one that was cancelled and still
-- runs; what can't be done has a refusal as its outcome. A request that was made before has its first outcome, also when
-- its key has expired and only the period is left. No row: the user is deleted or not active.
-- index: idempotency_keys_pkey, subscription_periods_transaction_id_key, wallets_pkey, users_pkey, subscriptions_user_id_place_key
-- not null: fingerprint, outcome
-- repeatable: a request_id has one outcome
-- collides: idempotency_keys_pkey, transactions_pkey
WITH prior AS (
    SELECT
        encode(fingerprint, 'hex') AS fingerprint,
        outcome
    FROM idempotency_keys
    WHERE actor_id = $user_id::uuid AND request_id = $request_id::uuid
),

expired AS (
    SELECT
        CASE WHEN periods.plan_id = $plan_id::text THEN $fingerprint::text ELSE '' END AS fingerprint,
        jsonb_build_object(
            'subscription_id', periods.subscription_id,
            'number', periods.number,
            'start_time', micros(periods.start_time),
            'end_time', micros(period_start(periods.anchor, periods.months, periods.number + 1)),
            'transaction_id', periods.transaction_id,
            'coins', periods.coins,
            'balance_after', entries.balance_after,
            'create_time', micros(transactions.create_time)
        ) AS outcome
    FROM subscription_periods AS periods
    INNER JOIN transactions ON periods.transaction_id = transactions.id
    INNER JOIN entries
        ON
            periods.user_id = entries.user_id
            AND entries.account = 'coins'
            AND periods.transaction_id = entries.transaction_id
    WHERE
        periods.transaction_id = $transaction_id::uuid
        AND NOT EXISTS (SELECT FROM prior)
),

state AS (
    SELECT
        wallets.user_id,
        wallets.available,
        wallets.balance,
        plans.id AS plan_id,
        plans.coins,
        plans.months,
        plans.is_active,
        latest.id AS latest_id,
        latest.plan_id AS latest_plan_id,
        latest.auto_renew,
        latest.place,
        latest.number,
        latest.start_time,
        latest.end_time,
        coalesce(latest.end_time > clock(), FALSE) AS runs
    FROM wallets
    INNER JOIN users ON wallets.user_id = users.id AND users.is_active
    LEFT JOIN plans ON plans.id = $plan_id::text
    LEFT JOIN LATERAL (
        SELECT
            subscriptions.id,
            subscriptions.plan_id,
            subscriptions.auto_renew,
            subscriptions.place,
            subscriptions.end_time,
            periods.number,
            periods.start_time
        FROM subscriptions
        INNER JOIN subscription_periods AS periods
            ON subscriptions.user_id = periods.user_id AND subscriptions.place = periods.place
        WHERE subscriptions.user_id = wallets.user_id
        ORDER BY subscriptions.place DESC
        LIMIT 1
    ) AS latest ON TRUE
    WHERE
        wallets.user_id = $user_id::uuid
        AND wallets.kind = 'coins'
        AND NOT EXISTS (SELECT FROM prior)
        AND NOT EXISTS (SELECT FROM expired)
),

decided AS (
    SELECT
        user_id,
        balance,
        plan_id,
        coins,
        months,
        latest_id,
        place,
        number,
        start_time,
        end_time,
        runs,
        CASE
            WHEN plan_id IS NULL
                THEN jsonb_build_object('refusal', 'PLAN_NOT_FOUND', 'plan_id', $plan_id::text)
            WHEN NOT is_active
                THEN jsonb_build_object('refusal', 'PLAN_INACTIVE', 'plan_id', plan_id)
            WHEN runs AND (auto_renew OR latest_plan_id <> plan_id)
                THEN jsonb_build_object('refusal', 'SUBSCRIPTION_RUNNING', 'end_time', micros(end_time))
            WHEN NOT runs AND available < coins
                THEN jsonb_build_object('refusal', 'COINS_INSUFFICIENT', 'available', available, 'needed', coins)
        END AS refusal
    FROM state
),

posted AS (
    SELECT
        user_id,
        plan_id,
        coins,
        months,
        place,
        end_time,
        balance - coins AS balance_after,
        post(
            $transaction_id::uuid, 'subscription', user_id, $subscription_id::uuid, user_id,
            ARRAY[
                (user_id, 'coins', -coins, 0)::leg,
                (user_id, 'platform_revenue', coins, 0)::leg
            ]
        ) AS create_time
    FROM decided
    WHERE refusal IS NULL AND NOT runs
),

-- One that was to renew after a downtime is replaced by the new one, before that one is there.
retired AS (
    UPDATE subscriptions
    SET
        auto_renew = FALSE,
        update_time = clock()
    FROM posted
    WHERE subscriptions.user_id = posted.user_id AND subscriptions.auto_renew
    RETURNING subscriptions.id
),

cleared AS (
    SELECT count(*) AS replaced FROM retired
),

charged AS (
    INSERT INTO subscription_periods (
        user_id, place, subscription_id, plan_id, coins, transaction_id, anchor, months, number, end_time,
        previous_place, previous_end_time
    )
    SELECT
        user_id,
        coalesce(place, 0) + 1,
        $subscription_id::uuid,
        plan_id,
        coins,
        $transaction_id::uuid,
        clock(),
        months,
        0,
        period_start(clock(), months, 1),
        place,
        end_time
    FROM posted
    RETURNING user_id, place, plan_id, number, start_time, end_time
),

subscribed AS (
    INSERT INTO subscriptions (user_id, id, plan_id, auto_renew, place, end_time, create_time, update_time)
    SELECT
        charged.user_id,
        $subscription_id::uuid,
        charged.plan_id,
        TRUE,
        charged.place,
        charged.end_time,
        clock(),
        clock()
    FROM charged
    CROSS JOIN cleared
),

resumed AS (
    UPDATE subscriptions
    SET
        auto_renew = TRUE,
        cancel_time = NULL,
        try_time = NULL,
        update_time = clock()
    FROM decided
    WHERE
        subscriptions.user_id = decided.user_id
        AND subscriptions.id = decided.latest_id
        AND decided.refusal IS NULL
        AND decided.runs
),

done AS (
    INSERT INTO idempotency_keys (actor_id, request_id, fingerprint, outcome, create_time)
    SELECT
        decided.user_id,
        $request_id::uuid,
        decode($fingerprint::text, 'hex'),
        CASE
            WHEN decided.refusal IS NOT NULL THEN decided.refusal
            WHEN decided.runs
                THEN jsonb_build_object(
                    'subscription_id', decided.latest_id,
                    'number', decided.number,
                    'start_time', micros(decided.start_time),
                    'end_time', micros(decided.end_time)
                )
            ELSE jsonb_build_object(
                'subscription_id', $subscription_id::uuid,
                'number', charged.number,
                'start_time', micros(charged.start_time),
                'end_time', micros(charged.end_time),
                'transaction_id', $transaction_id::uuid,
                'coins', posted.coins,
                'balance_after', posted.balance_after,
                'create_time', posted.create_time
            )
        END,
        clock()
    FROM decided
    LEFT JOIN posted ON decided.user_id = posted.user_id
    LEFT JOIN charged ON decided.user_id = charged.user_id
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

-- name: cancel_subscription :exec
-- Lets the subscription that runs, or that is still to be renewed after a downtime, end with what is paid. 0: there is
-- none.
-- index: subscriptions_user_id_place_key
-- repeatable: one that is cancelled stays so
UPDATE subscriptions
SET
    auto_renew = FALSE,
    cancel_time = coalesce(cancel_time, clock()),
    update_time = CASE WHEN auto_renew THEN clock() ELSE update_time END
WHERE
    user_id = $user_id::uuid
    AND (end_time > clock() OR (auto_renew AND try_time IS NULL));

-- name: get_subscription :one
-- The last subscription of a user as it is at this moment, with its period that runs, else its last one. No row: he
-- never had one.
-- index: subscriptions_user_id_place_key
-- not null: user_id, subscription_id, plan_id, status, is_premium, number, start_time, end_time, paid_until, auto_renew, create_time
WITH latest AS (
    SELECT
        user_id,
        id,
        plan_id,
        end_time,
        cancel_time,
        create_time,
        end_time > clock() AS runs,
        auto_renew AND (end_time > clock() OR try_time IS NULL) AS auto_renew
    FROM subscriptions
    WHERE user_id = $user_id::uuid
    ORDER BY place DESC
    LIMIT 1
)

SELECT
    latest.user_id::text AS user_id,
    latest.id::text AS subscription_id,
    latest.plan_id,
    CASE
        WHEN latest.runs AND latest.auto_renew THEN 'active'
        WHEN latest.runs THEN 'cancelled'
        WHEN latest.auto_renew THEN 'overdue'
        ELSE 'ended'
    END AS status,
    periods.runs AS is_premium,
    periods.number,
    micros(periods.start_time) AS start_time,
    micros(periods.end_time) AS end_time,
    micros(latest.end_time) AS paid_until,
    latest.auto_renew,
    micros(latest.cancel_time) AS cancel_time,
    CASE WHEN latest.auto_renew THEN plans.coins END AS renewal_coins,
    CASE WHEN latest.auto_renew THEN micros(latest.end_time - interval '24 hours') END AS renewal_time,
    micros(latest.create_time) AS create_time
FROM latest
INNER JOIN plans ON latest.plan_id = plans.id
CROSS JOIN LATERAL (
    SELECT
        paid.number,
        paid.start_time,
        paid.end_time,
        paid.start_time <= clock() AND clock() < paid.end_time AS runs
    FROM subscription_periods AS paid
    WHERE paid.user_id = latest.user_id
    ORDER BY runs DESC, paid.place DESC
    LIMIT 1
) AS periods;

-- name: list_due_subscriptions :many
-- Some subscriptions of which renewal has something to do, those that end first in front: charge the next period, note
-- that it can't be charged, or note that it never was. Whoever else lists the same finds it done.
-- index: subscriptions_end_time_idx, wallets_pkey, users_pkey
-- not null: user_id, subscription_id, place
SELECT
    subscriptions.user_id::text AS user_id,
    subscriptions.id::text AS subscription_id,
    subscriptions.place
FROM subscriptions
INNER JOIN plans ON subscriptions.plan_id = plans.id
INNER JOIN wallets ON subscriptions.user_id = wallets.user_id AND wallets.kind = 'coins'
INNER JOIN users ON subscriptions.user_id = users.id
WHERE
    subscriptions.auto_renew
    AND subscriptions.end_time <= clock() + interval '24 hours'
    AND (
        subscriptions.try_time IS NULL
        OR subscriptions.end_time <= clock()
        OR (users.is_active AND wallets.available >= plans.coins)
    )
ORDER BY subscriptions.end_time
LIMIT $most::bigint;

-- name: renew_subscription :one
-- Charges the period after the one of this place, from 24 hours before that one ends: the next one of its anchor, or
-- when that one is over (or was refunded) the first one of a new anchor. Where coins are missing, or the user is not
-- active, it notes that it tried; where it tried before and the end has come, it notes that nothing renews any more.
-- Charged: 1, or 0 if nothing was now. There is always a row.
-- index: subscriptions_pkey, wallets_pkey, users_pkey
-- not null: charged
-- repeatable: a place is charged once
-- collides: transactions_pkey
WITH due AS (
    SELECT
        subscriptions.user_id,
        subscriptions.id,
        subscriptions.plan_id,
        subscriptions.place,
        subscriptions.end_time,
        plans.coins,
        periods.months,
        subscriptions.end_time <= clock() AS is_over,
        (
            users.is_active
            AND wallets.available >= plans.coins
            AND (subscriptions.try_time IS NULL OR subscriptions.end_time > clock())
        ) AS can_be_charged,
        CASE
            WHEN subscriptions.end_time <= clock() THEN clock()
            WHEN periods.refund_time IS NOT NULL THEN subscriptions.end_time
            ELSE periods.anchor
        END AS anchor,
        CASE
            WHEN subscriptions.end_time <= clock() OR periods.refund_time IS NOT NULL THEN 0
            ELSE periods.number + 1
        END AS number
    FROM subscriptions
    INNER JOIN subscription_periods AS periods
        ON subscriptions.user_id = periods.user_id AND subscriptions.place = periods.place
    INNER JOIN plans ON subscriptions.plan_id = plans.id
    INNER JOIN wallets ON subscriptions.user_id = wallets.user_id AND wallets.kind = 'coins'
    INNER JOIN users ON subscriptions.user_id = users.id
    WHERE
        subscriptions.user_id = $user_id::uuid
        AND subscriptions.id = $subscription_id::uuid
        AND subscriptions.place = $place::bigint
        AND subscriptions.auto_renew
        AND subscriptions.end_time <= clock() + interval '24 hours'
),

posted AS (
    SELECT
        user_id,
        id,
        plan_id,
        place,
        end_time,
        coins,
        months,
        anchor,
        number,
        post(
            $transaction_id::uuid, 'subscription', user_id, id, $actor_id::uuid,
            ARRAY[
                (user_id, 'coins', -coins, 0)::leg,
                (user_id, 'platform_revenue', coins, 0)::leg
            ]
        ) AS create_time
    FROM due
    WHERE can_be_charged
),

charged AS (
    INSERT INTO subscription_periods (
        user_id, place, subscription_id, plan_id, coins, transaction_id, anchor, months, number, end_time,
        previous_place, previous_end_time
    )
    SELECT
        user_id,
        place + 1,
        id,
        plan_id,
        coins,
        $transaction_id::uuid,
        anchor,
        months,
        number,
        period_start(anchor, months, number + 1),
        place,
        end_time
    FROM posted
    RETURNING user_id, subscription_id, place, end_time
),

renewed AS (
    UPDATE subscriptions
    SET
        place = charged.place,
        end_time = charged.end_time,
        try_time = NULL,
        update_time = clock()
    FROM charged
    WHERE subscriptions.user_id = charged.user_id AND subscriptions.id = charged.subscription_id
    RETURNING subscriptions.id
),

noted AS (
    UPDATE subscriptions
    SET
        auto_renew = NOT due.is_over,
        try_time = coalesce(subscriptions.try_time, clock()),
        update_time = clock()
    FROM due
    WHERE
        subscriptions.user_id = due.user_id
        AND subscriptions.id = due.id
        AND NOT due.can_be_charged
        AND (due.is_over OR subscriptions.try_time IS NULL)
)

SELECT count(*) AS charged
FROM renewed;

-- name: end_refunded_period :one
-- Ends the period that a transaction paid if all of it is refunded: now, or before it begins; its subscription renews no
-- more. The user's coins are locked. False: that period is over, or ended before, and nothing changed. No row: not all
-- is refunded, or it paid no period.
-- index: refunds_after_key, transactions_pkey
-- not null: had_time_left
-- repeatable: a period that has ended ends no more
SELECT end_subscription_period(transactions.id) AS had_time_left
FROM refunds
INNER JOIN transactions ON refunds.original_id = transactions.id AND refunds.after = transactions.total
WHERE
    refunds.original_id = $transaction_id::uuid
    AND transactions.kind = 'subscription';
