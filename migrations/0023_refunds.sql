-- Refunds: what of a transaction was taken back, as a mark that runs from 0 to its total and can't overshoot or fork.
-- depends: 0022_subscriptions

CREATE TABLE refunds (
    original_id uuid NOT NULL,
    -- Coins of the original that were refunded before this refund, and with it.
    before bigint NOT NULL,
    after bigint NOT NULL,
    previous_after bigint GENERATED ALWAYS AS (nullif(before, 0)) STORED,
    -- Whom the original was about, and the host whom it paid, if it paid one.
    user_id uuid NOT NULL,
    host_id uuid,
    -- What the host gave back for it; the platform bore the rest.
    taken_back bigint NOT NULL,
    transaction_id uuid NOT NULL,
    -- One refund begins at each mark, and each begins where another one ends.
    CONSTRAINT refunds_pkey PRIMARY KEY (original_id, before),
    CONSTRAINT refunds_after_key UNIQUE (original_id, after),
    CONSTRAINT refunds_previous_after_fkey FOREIGN KEY (original_id, previous_after)
    REFERENCES refunds (original_id, after),
    CONSTRAINT refunds_original_id_fkey FOREIGN KEY (original_id) REFERENCES transactions (id),
    CONSTRAINT refunds_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT refunds_host_id_fkey FOREIGN KEY (host_id, original_id) REFERENCES earnings (user_id, transaction_id),
    CONSTRAINT refunds_transaction_id_fkey FOREIGN KEY (transaction_id) REFERENCES transactions (id),
    CONSTRAINT refunds_transaction_id_key UNIQUE (transaction_id),
    CONSTRAINT refunds_before_check CHECK (before >= 0 AND before < after),
    CONSTRAINT refunds_taken_back_check CHECK (taken_back BETWEEN 0 AND after - before)
);

CREATE INDEX refunds_user_id_idx ON refunds (user_id);
CREATE INDEX refunds_host_id_idx ON refunds (host_id, original_id) WHERE host_id IS NOT NULL;

CREATE TRIGGER refunds_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON refunds
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A refund is what its two transactions say, which never change: no more than the original moved, of a kind that can be
-- refunded, and as much as the refund itself moved and took from the host.
CREATE FUNCTION refunds_transactions() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF EXISTS (
        SELECT FROM made
        LEFT JOIN transactions AS original ON made.original_id = original.id AND made.user_id = original.user_id
        LEFT JOIN transactions AS refund ON made.transaction_id = refund.id AND made.user_id = refund.user_id
        LEFT JOIN earnings ON made.original_id = earnings.transaction_id
        LEFT JOIN entries
            ON
                made.host_id = entries.user_id
                AND entries.account = 'earnings'
                AND made.transaction_id = entries.transaction_id
        WHERE (
            made.after <= original.total
            AND original.kind IN ('purchase', 'call_charge', 'gift', 'subscription')
            AND refund.kind = 'refund'
            AND refund.subject_id = original.id
            AND refund.total = made.after - made.before
            AND earnings.user_id IS NOT DISTINCT FROM made.host_id
            AND made.taken_back = coalesce(-entries.amount, 0)
        ) IS NOT TRUE
    ) THEN
        RAISE EXCEPTION 'a refund takes back what is left of its original, and moves as much'
            USING ERRCODE = 'check_violation', TABLE = 'refunds', CONSTRAINT = 'refunds_transactions';
    END IF;
    RETURN NULL;
END;
$$;

CREATE TRIGGER refunds_transactions AFTER INSERT ON refunds
REFERENCING NEW TABLE AS made
FOR EACH STATEMENT EXECUTE FUNCTION refunds_transactions();

GRANT SELECT, INSERT ON refunds TO banter_service;
