-- What was asked once is done once: keys of requests, payments, and the phone numbers that had their grant.
-- depends: 0007_post

-- The outcome of each money request that names itself: success or refusal, with what was answered. 30 days.
CREATE TABLE idempotency_keys (
    actor_id uuid NOT NULL,
    request_id uuid NOT NULL,
    fingerprint bytea NOT NULL,
    outcome jsonb NOT NULL,
    create_time timestamptz NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (actor_id, request_id),
    CONSTRAINT idempotency_keys_fingerprint_check CHECK (octet_length(fingerprint) = 32)
);

CREATE INDEX idempotency_keys_create_time_idx ON idempotency_keys (create_time);

-- A provider's payment credits one user, once.
CREATE TABLE payments (
    provider text NOT NULL,
    payment_id text NOT NULL,
    user_id uuid NOT NULL,
    coins bigint NOT NULL,
    transaction_id uuid NOT NULL,
    CONSTRAINT payments_pkey PRIMARY KEY (provider, payment_id),
    CONSTRAINT payments_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT payments_transaction_id_fkey FOREIGN KEY (transaction_id) REFERENCES transactions (id),
    CONSTRAINT payments_transaction_id_key UNIQUE (transaction_id),
    CONSTRAINT payments_coins_check CHECK (coins BETWEEN 1 AND 1000000000)
);

CREATE INDEX payments_user_id_idx ON payments (user_id);

-- Phone numbers that had a signup grant, as keyed hashes: nobody is told who was here, and nobody gets a second one.
CREATE TABLE signup_grants (
    phone_hash bytea NOT NULL,
    create_time timestamptz NOT NULL,
    CONSTRAINT signup_grants_pkey PRIMARY KEY (phone_hash),
    CONSTRAINT signup_grants_phone_hash_check CHECK (octet_length(phone_hash) = 32)
);

CREATE TRIGGER payments_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payments
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER signup_grants_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON signup_grants
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER idempotency_keys_append_only BEFORE UPDATE OR TRUNCATE ON idempotency_keys
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A key goes when it is 30 days old, not before, whoever deletes it.
CREATE TRIGGER idempotency_keys_kept BEFORE DELETE ON idempotency_keys
FOR EACH ROW
WHEN (old.create_time > clock() - interval '30 days')
EXECUTE FUNCTION refuse_change();

-- Deletes up to so many keys that are 30 days old, and says how many; several may run at once.
CREATE FUNCTION purge_idempotency_keys(most integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH old AS (
        SELECT actor_id, request_id FROM idempotency_keys
        WHERE create_time <= clock() - interval '30 days'
        ORDER BY create_time
        LIMIT most
        FOR UPDATE SKIP LOCKED
    ),

    gone AS (
        DELETE FROM idempotency_keys USING old
        WHERE idempotency_keys.actor_id = old.actor_id AND idempotency_keys.request_id = old.request_id
        RETURNING 1
    )

    SELECT count(*) FROM gone
$$;

REVOKE ALL ON FUNCTION purge_idempotency_keys(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION purge_idempotency_keys(integer) TO banter_service;
GRANT SELECT, INSERT ON idempotency_keys, payments, signup_grants TO banter_service;
