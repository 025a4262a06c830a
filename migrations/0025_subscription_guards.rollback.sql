DROP FUNCTION end_subscription_period(uuid);
DROP TRIGGER subscription_periods_charged ON subscription_periods;
DROP FUNCTION subscription_periods_charged();
DROP TRIGGER subscription_periods_kept ON subscription_periods;
DROP TRIGGER subscription_periods_append_only ON subscription_periods;
DROP TRIGGER subscriptions_permanent ON subscriptions;
