-- The one way into the ledger.
-- depends: 0006_ledger_guards

-- A leg as a movement asks for it: `amount` changes what the account holds in all, `held` the part of it that is held.
CREATE TYPE leg AS (
    user_id uuid,
    account text,
    amount bigint,
    held bigint
);

-- What all hashes of a transaction cover: the transaction and all of its legs, in PostgreSQL's binary encodings, in
-- which no two different rows look alike. Its row in `earnings` follows from these.
CREATE FUNCTION transaction_digest(given transactions, legs bytea) RETURNS bytea
LANGUAGE sql STABLE
AS $$
    SELECT sha256(
        record_send(
            (given.id, given.kind, given.user_id, given.subject_id, given.actor_id, given.total, given.create_time)
        ) || legs
    )
$$;

CREATE FUNCTION leg_bytes(user_id uuid, account text, amount bigint, version bigint, balance_after bigint)
RETURNS bytea
LANGUAGE sql STABLE
AS $$ SELECT record_send((user_id, account, amount, version, balance_after)) $$;

-- The hash of a wallet's leg: of the one before it, and of all that happened with it.
CREATE FUNCTION entry_hash(previous bytea, digest bytea, user_id uuid, account text) RETURNS bytea
LANGUAGE sql STABLE
AS $$ SELECT sha256(previous || digest || record_send((user_id, account))) $$;

-- Writes one transaction with all of its legs, brings the wallets in step, and returns when: microseconds since 1970.
-- A leg of nothing is left out. Whoever calls it has locked the wallets before, in an earlier statement of the same
-- unit: what it reads of them must be what it changes. It is planned once for a connection, not for each call: planning
-- costs more than running. Wallets take version and hash from what is being written: to look it up in `entries` would be
-- to trust in statistics that a hot wallet, all of whose entries are new, doesn't have.
CREATE FUNCTION post(
    transaction_id uuid, transaction_kind text, about_user uuid, subject uuid, actor uuid, asked leg[]
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    made transactions;
BEGIN
    INSERT INTO transactions (id, kind, user_id, subject_id, actor_id, total, create_time)
    SELECT
        transaction_id, transaction_kind, about_user, subject, actor,
        sum(legs.amount) FILTER (WHERE legs.amount > 0),
        clock()
    FROM unnest(asked) AS legs
    RETURNING * INTO made;

    WITH legs AS MATERIALIZED (
        SELECT
            legs.user_id, legs.account, legs.amount, legs.held, wallets.head_hash,
            wallets.version + 1 AS version,
            wallets.balance + legs.amount AS balance_after
        FROM unnest(asked) AS legs
        LEFT JOIN wallets ON legs.user_id = wallets.user_id AND legs.account = wallets.kind
        WHERE legs.amount <> 0
    ),

    whole AS MATERIALIZED (
        SELECT transaction_digest(
            made,
            string_agg(
                leg_bytes(legs.user_id, legs.account, legs.amount, legs.version, legs.balance_after), ''
                ORDER BY legs.user_id, legs.account
            )
        ) AS digest
        FROM legs
    ),

    written AS (
        INSERT INTO entries (user_id, account, transaction_id, amount, version, balance_after, hash)
        SELECT
            legs.user_id, legs.account, made.id, legs.amount, legs.version, legs.balance_after,
            entry_hash(legs.head_hash, whole.digest, legs.user_id, legs.account)
        FROM legs CROSS JOIN whole
        RETURNING entries.user_id, entries.account, entries.version, entries.hash
    )

    UPDATE wallets
    SET
        available = wallets.available + legs.amount - legs.held,
        held = wallets.held + legs.held,
        version = written.version,
        head_hash = written.hash
    FROM legs INNER JOIN written ON legs.user_id = written.user_id AND legs.account = written.account
    WHERE wallets.user_id = legs.user_id AND wallets.kind = legs.account;

    IF made.kind IN ('call_charge', 'gift', 'bonus') THEN
        INSERT INTO earnings (user_id, transaction_id, kind, total, host_part, platform_part, create_time)
        SELECT legs.user_id, made.id, made.kind, made.total, legs.amount, made.total - legs.amount, made.create_time
        FROM unnest(asked) AS legs
        WHERE legs.account = 'earnings' AND legs.amount > 0;
    END IF;

    RETURN micros(made.create_time);
END;
$$;

REVOKE ALL ON FUNCTION post(uuid, text, uuid, uuid, uuid, leg[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION post(uuid, text, uuid, uuid, uuid, leg[]) TO banter_service;
