ALTER TABLE subscriptions DROP CONSTRAINT subscriptions_place_fkey;
DROP TABLE subscription_periods;
DROP TABLE subscriptions;
DROP TABLE plans;
DROP FUNCTION period_start(timestamptz, bigint, bigint);
