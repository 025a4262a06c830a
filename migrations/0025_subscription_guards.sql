-- What keeps paid periods as they were charged, and the one way to end one before its time.
-- depends: 0024_transaction_notes

CREATE TRIGGER subscriptions_permanent BEFORE DELETE OR TRUNCATE ON subscriptions
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER subscription_periods_append_only BEFORE DELETE OR TRUNCATE ON subscription_periods
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Of a period nothing changes but its end, which comes forward, and what it knows of the end of the one before it.
CREATE TRIGGER subscription_periods_kept BEFORE UPDATE ON subscription_periods
FOR EACH ROW
WHEN (
    (
        new.user_id, new.place, new.subscription_id, new.plan_id, new.coins, new.transaction_id, new.anchor,
        new.months, new.number, new.previous_place
    ) IS DISTINCT FROM (
        old.user_id, old.place, old.subscription_id, old.plan_id, old.coins, old.transaction_id, old.anchor,
        old.months, old.number, old.previous_place
    )
    OR new.end_time > old.end_time
    OR new.previous_end_time > old.previous_end_time
    OR (old.refund_time IS NOT NULL AND new.refund_time IS DISTINCT FROM old.refund_time)
)
EXECUTE FUNCTION refuse_change();

-- A period is there because it was paid: by a transaction of its user, its subscription and its price.
CREATE FUNCTION subscription_periods_charged() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM transactions
        WHERE transactions.id = new.transaction_id
            AND transactions.kind = 'subscription'
            AND transactions.user_id = new.user_id
            AND transactions.subject_id = new.subscription_id
            AND transactions.total = new.coins
    ) THEN
        RAISE EXCEPTION 'a period is paid by the transaction that it names'
            USING
                ERRCODE = 'check_violation',
                TABLE = 'subscription_periods',
                CONSTRAINT = 'subscription_periods_charged';
    END IF;
    RETURN NULL;
END;
$$;

CREATE TRIGGER subscription_periods_charged AFTER INSERT ON subscription_periods
FOR EACH ROW EXECUTE FUNCTION subscription_periods_charged();

-- Ends the period that a transaction paid, as the whole of it is refunded: now, or if it has not begun, before it
-- begins; one that is over stays as it was. What was still to come does not renew any more. Returns whether there was
-- such a period with time left. Whoever calls it has locked the user's coins in an earlier statement of the same unit.
CREATE FUNCTION end_subscription_period(charge uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    ended subscription_periods;
BEGIN
    UPDATE subscription_periods
    SET refund_time = clock(), end_time = greatest(clock(), coalesce(previous_end_time, anchor))
    WHERE transaction_id = charge AND refund_time IS NULL AND end_time > clock()
    RETURNING * INTO ended;

    IF NOT found THEN
        RETURN FALSE;
    END IF;

    -- A later one that was refunded before could end no sooner than this one.
    UPDATE subscription_periods
    SET end_time = greatest(clock(), previous_end_time)
    WHERE user_id = ended.user_id AND place > ended.place AND refund_time IS NOT NULL;

    UPDATE subscriptions
    SET auto_renew = FALSE, cancel_time = coalesce(cancel_time, clock()), update_time = clock()
    WHERE user_id = ended.user_id AND id = ended.subscription_id;

    RETURN TRUE;
END;
$$;

REVOKE ALL ON FUNCTION end_subscription_period(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION end_subscription_period(uuid) TO banter_service;
