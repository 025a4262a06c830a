-- Periods that were refunded end with the one before each, however many they are.
-- depends: 0025_subscription_guards

CREATE OR REPLACE FUNCTION end_subscription_period(charge uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    ended subscription_periods;
    later bigint;
BEGIN
    UPDATE subscription_periods
    SET refund_time = clock(), end_time = greatest(clock(), coalesce(previous_end_time, anchor))
    WHERE transaction_id = charge AND refund_time IS NULL AND end_time > clock()
    RETURNING * INTO ended;

    IF NOT found THEN
        RETURN FALSE;
    END IF;

    -- Later ones that were refunded before could end no sooner than the one before each. One statement for each, in the
    -- order of the chain: what it knows of the end of the one before follows when that one's statement is done.
    FOR later IN
        SELECT place FROM subscription_periods
        WHERE user_id = ended.user_id AND place > ended.place AND refund_time IS NOT NULL
        ORDER BY place
    LOOP
        UPDATE subscription_periods
        SET end_time = greatest(clock(), previous_end_time)
        WHERE user_id = ended.user_id AND place = later;
    END LOOP;

    UPDATE subscriptions
    SET auto_renew = FALSE, cancel_time = coalesce(cancel_time, clock()), update_time = clock()
    WHERE user_id = ended.user_id AND id = ended.subscription_id;

    RETURN TRUE;
END;
$$;
