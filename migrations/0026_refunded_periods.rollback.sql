-- Only the first of them ends with the one before it.

CREATE OR REPLACE FUNCTION end_subscription_period(charge uuid) RETURNS boolean
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
