-- Withdrawals: the queries of WalletService about earnings on their way out. While one is open its amount is held. What
-- changes one locks the earnings wallet of its user first, in a statement of its own, so that state can be read and
-- changed in the next: lock_wallet of wallet.sql.

-- name: request_withdrawal :one
-- Holds earnings of a user for a withdrawal, unless too few can be withdrawn or are asked for: then the refusal is the
-- outcome. A request that was made before has its first outcome, also when its key has expired and only the withdrawal
-- is left. No row: the user is deleted or not active.
-- index: idempotency_keys_pkey, withdrawals_pkey, wallets_pkey, users_pkey
-- not null: fingerprint, outcome
-- optional: upi_id, account_holder, account_number, bank_code
-- repeatable: a request_id has one outcome
-- collides: idempotency_keys_pkey, withdrawals_pkey
WITH prior AS (
    SELECT
        encode(fingerprint, 'hex') AS fingerprint,
        outcome
    FROM idempotency_keys
    WHERE actor_id = $user_id::uuid AND request_id = $request_id::uuid
),

expired AS (
    SELECT
        CASE WHEN amount = $amount::bigint THEN $fingerprint::text ELSE '' END AS fingerprint,
        jsonb_build_object('create_time', micros(create_time)) AS outcome
    FROM withdrawals
    WHERE user_id = $user_id::uuid AND id = $withdrawal_id::uuid AND NOT EXISTS (SELECT FROM prior)
),

decided AS (
    SELECT
        wallets.user_id,
        CASE
            WHEN $amount::bigint < $minimum::bigint
                THEN jsonb_build_object('refusal', 'WITHDRAWAL_TOO_SMALL', 'minimum', $minimum::bigint)
            WHEN $amount::bigint > wallets.available
                THEN jsonb_build_object('refusal', 'EARNINGS_INSUFFICIENT')
        END AS refusal
    FROM wallets
    INNER JOIN users ON wallets.user_id = users.id
    WHERE
        wallets.user_id = $user_id::uuid
        AND wallets.kind = 'earnings'
        AND users.is_active
        AND NOT EXISTS (SELECT FROM prior)
        AND NOT EXISTS (SELECT FROM expired)
),

made AS (
    INSERT INTO withdrawals (user_id, id, amount, create_time)
    SELECT
        user_id,
        $withdrawal_id::uuid,
        $amount::bigint,
        clock()
    FROM decided
    WHERE refusal IS NULL
    RETURNING user_id, id, amount, create_time
),

detailed AS (
    INSERT INTO withdrawal_details (
        user_id, withdrawal_id, method, upi_id, account_holder, account_number, bank_code
    )
    SELECT
        user_id,
        id,
        $method::text,
        $upi_id::text,
        $account_holder::text,
        $account_number::text,
        $bank_code::text
    FROM made
),

held AS (
    UPDATE wallets
    SET
        available = wallets.available - made.amount,
        held = wallets.held + made.amount
    FROM made
    WHERE wallets.user_id = made.user_id AND wallets.kind = 'earnings'
),

done AS (
    INSERT INTO idempotency_keys (actor_id, request_id, fingerprint, outcome, create_time)
    SELECT
        decided.user_id,
        $request_id::uuid,
        decode($fingerprint::text, 'hex'),
        coalesce(decided.refusal, jsonb_build_object('create_time', micros(made.create_time))),
        clock()
    FROM decided
    LEFT JOIN made ON decided.user_id = made.user_id
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

-- name: cancel_withdrawal :exec
-- Cancels a pending withdrawal and frees what it held. One that is not pending stays as it is.
-- index: withdrawals_pkey, wallets_pkey
-- repeatable: what is cancelled is not pending
WITH ended AS (
    UPDATE withdrawals
    SET
        status = 'cancelled',
        end_time = clock()
    WHERE user_id = $user_id::uuid AND id = $withdrawal_id::uuid AND status = 'pending'
    RETURNING user_id, amount
)

UPDATE wallets
SET
    available = wallets.available + ended.amount,
    held = wallets.held - ended.amount
FROM ended
WHERE wallets.user_id = ended.user_id AND wallets.kind = 'earnings';

-- name: review_withdrawal :exec
-- Approves or rejects a pending withdrawal; a rejected one frees what it held. One that is not pending stays as it is.
-- index: withdrawals_pkey, withdrawal_details_pkey, wallets_pkey
-- optional: note
-- repeatable: what is reviewed is not pending
WITH reviewed AS (
    UPDATE withdrawals
    SET
        status = $status::text,
        reviewer_id = $reviewer_id::uuid,
        review_time = clock(),
        end_time = CASE WHEN $status::text = 'rejected' THEN clock() END
    WHERE user_id = $user_id::uuid AND id = $withdrawal_id::uuid AND status = 'pending'
    RETURNING user_id, id, amount, status
),

noted AS (
    UPDATE withdrawal_details
    SET note = $note::text
    FROM reviewed
    WHERE withdrawal_details.user_id = reviewed.user_id AND withdrawal_details.withdrawal_id = reviewed.id
)

UPDATE wallets
SET
    available = wallets.available + reviewed.amount,
    held = wallets.held - reviewed.amount
FROM reviewed
WHERE wallets.user_id = reviewed.user_id AND wallets.kind = 'earnings' AND reviewed.status = 'rejected';

-- name: complete_withdrawal :exec
-- Ends an approved withdrawal: paid, what it held goes out; failed, it is freed. One that is not approved stays as it
-- is.
-- index: withdrawals_pkey, withdrawal_details_pkey, wallets_pkey
-- optional: payout_reference
-- repeatable: what has ended is not approved
WITH act AS (
    SELECT
        user_id,
        id,
        amount
    FROM withdrawals
    WHERE user_id = $user_id::uuid AND id = $withdrawal_id::uuid AND status = 'approved'
),

posted AS (
    SELECT
        act.user_id,
        post(
            $transaction_id::uuid, 'withdrawal', act.user_id, act.id, $completer_id::uuid,
            ARRAY[
                (act.user_id, 'earnings', -act.amount, -act.amount)::leg,
                (act.user_id, 'payouts', act.amount, 0)::leg
            ]
        ) AS create_time
    FROM act
    WHERE $status::text = 'paid'
),

ended AS (
    UPDATE withdrawals
    SET
        status = $status::text,
        completer_id = $completer_id::uuid,
        end_time = clock(),
        transaction_id = CASE WHEN posted.create_time IS NOT NULL THEN $transaction_id::uuid END
    FROM act
    LEFT JOIN posted ON act.user_id = posted.user_id
    WHERE withdrawals.user_id = act.user_id AND withdrawals.id = act.id
    RETURNING withdrawals.user_id, withdrawals.id, withdrawals.amount, withdrawals.status
),

noted AS (
    UPDATE withdrawal_details
    SET payout_reference = $payout_reference::text
    FROM ended
    WHERE withdrawal_details.user_id = ended.user_id AND withdrawal_details.withdrawal_id = ended.id
)

UPDATE wallets
SET
    available = wallets.available + ended.amount,
    held = wallets.held - ended.amount
FROM ended
WHERE wallets.user_id = ended.user_id AND wallets.kind = 'earnings' AND ended.status = 'failed';

-- name: get_withdrawal :one
-- One withdrawal of a user, with the movement that paid it. No row: he has no such one.
-- index: withdrawals_pkey, withdrawal_details_pkey
-- not null: user_id, withdrawal_id, amount, status, create_time
SELECT
    withdrawals.user_id::text AS user_id,
    withdrawals.id::text AS withdrawal_id,
    withdrawals.amount,
    withdrawals.status,
    withdrawal_details.method,
    withdrawal_details.upi_id,
    withdrawal_details.account_holder,
    withdrawal_details.account_number,
    withdrawal_details.bank_code,
    micros(withdrawals.create_time) AS create_time,
    withdrawals.reviewer_id::text AS reviewer_id,
    micros(withdrawals.review_time) AS review_time,
    withdrawal_details.note,
    micros(withdrawals.end_time) AS end_time,
    withdrawal_details.payout_reference,
    withdrawals.transaction_id::text AS transaction_id,
    entries.balance_after
FROM withdrawals
LEFT JOIN withdrawal_details
    ON withdrawals.user_id = withdrawal_details.user_id AND withdrawals.id = withdrawal_details.withdrawal_id
LEFT JOIN entries
    ON
        withdrawals.user_id = entries.user_id
        AND entries.account = 'earnings'
        AND withdrawals.transaction_id = entries.transaction_id
WHERE withdrawals.user_id = $user_id::uuid AND withdrawals.id = $withdrawal_id::uuid;

-- name: list_withdrawals :many
-- One page of a user's withdrawals in some statuses, newest first.
-- row: listed_withdrawal
-- index: withdrawals_user_id_create_time_idx, withdrawal_details_pkey
-- not null: user_id, withdrawal_id, amount, status, create_time
SELECT
    withdrawals.user_id::text AS user_id,
    withdrawals.id::text AS withdrawal_id,
    withdrawals.amount,
    withdrawals.status,
    withdrawal_details.method,
    withdrawal_details.upi_id,
    withdrawal_details.account_holder,
    withdrawal_details.account_number,
    withdrawal_details.bank_code,
    micros(withdrawals.create_time) AS create_time,
    withdrawals.reviewer_id::text AS reviewer_id,
    micros(withdrawals.review_time) AS review_time,
    withdrawal_details.note,
    micros(withdrawals.end_time) AS end_time,
    withdrawal_details.payout_reference
FROM withdrawals
LEFT JOIN withdrawal_details
    ON withdrawals.user_id = withdrawal_details.user_id AND withdrawals.id = withdrawal_details.withdrawal_id
WHERE
    withdrawals.user_id = $user_id::uuid
    AND withdrawals.status = ANY($statuses::text[])
    AND (withdrawals.create_time, withdrawals.id)
    < ('epoch'::timestamptz + $before_time::bigint * interval '1 microsecond', $before_id::uuid)
ORDER BY withdrawals.create_time DESC, withdrawals.id DESC
LIMIT $count::bigint;

-- name: list_withdrawals_by_status :many
-- One page of everybody's withdrawals in one status, newest first.
-- row: listed_withdrawal
-- index: withdrawals_status_create_time_idx, withdrawal_details_pkey
-- not null: user_id, withdrawal_id, amount, status, create_time
SELECT
    withdrawals.user_id::text AS user_id,
    withdrawals.id::text AS withdrawal_id,
    withdrawals.amount,
    withdrawals.status,
    withdrawal_details.method,
    withdrawal_details.upi_id,
    withdrawal_details.account_holder,
    withdrawal_details.account_number,
    withdrawal_details.bank_code,
    micros(withdrawals.create_time) AS create_time,
    withdrawals.reviewer_id::text AS reviewer_id,
    micros(withdrawals.review_time) AS review_time,
    withdrawal_details.note,
    micros(withdrawals.end_time) AS end_time,
    withdrawal_details.payout_reference
FROM withdrawals
LEFT JOIN withdrawal_details
    ON withdrawals.user_id = withdrawal_details.user_id AND withdrawals.id = withdrawal_details.withdrawal_id
WHERE
    withdrawals.status = $status::text
    AND (withdrawals.create_time, withdrawals.id)
    < ('epoch'::timestamptz + $before_time::bigint * interval '1 microsecond', $before_id::uuid)
ORDER BY withdrawals.create_time DESC, withdrawals.id DESC
LIMIT $count::bigint;
