-- Subscriptions: plans, who subscribes to which, and every period that was paid.
-- depends: 0021_host_bonuses

-- When period `number` of so many months begins: counted from the anchor, as months are not equally long, and in UTC.
CREATE FUNCTION period_start(anchor timestamptz, months bigint, number bigint) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
AS $$ SELECT (anchor AT TIME ZONE 'UTC' + make_interval(months => (months * number)::integer)) AT TIME ZONE 'UTC' $$;

-- What can be subscribed to. For now the owner changes it with psql: a new price holds for every charge from then on; a
-- plan that is not active takes no new subscriptions, while those that run renew on; one of other months is another row.
CREATE TABLE plans (
    id text NOT NULL,
    coins bigint NOT NULL,
    months bigint NOT NULL,
    is_active boolean NOT NULL DEFAULT TRUE,
    CONSTRAINT plans_pkey PRIMARY KEY (id),
    CONSTRAINT plans_id_months_key UNIQUE (id, months),
    CONSTRAINT plans_id_check CHECK (id ~ '^[a-z0-9_]{1,32}$'),
    CONSTRAINT plans_coins_check CHECK (coins BETWEEN 1 AND 1000000000),
    CONSTRAINT plans_months_check CHECK (months BETWEEN 1 AND 120)
);

INSERT INTO plans (id, coins, months)
SELECT
    made.id,
    made.coins,
    made.months
FROM (VALUES ('monthly', 299, 1), ('quarterly', 799, 3), ('yearly', 2499, 12)) AS made (id, coins, months);

-- One row per subscription. Whether it runs, and whether its user is premium, follows from its periods and the clock. Its
-- user's coins wallet is the lock for all changes of it and its periods.
CREATE TABLE subscriptions (
    user_id uuid NOT NULL,
    id uuid NOT NULL,
    plan_id text NOT NULL,
    -- Whether another period is to be charged when the last one ends.
    auto_renew boolean NOT NULL,
    -- Its last period, and when that one ends.
    place bigint NOT NULL,
    end_time timestamptz NOT NULL,
    cancel_time timestamptz,
    -- When the next period was first tried and could not be charged. With it set, the end of the last one is the end.
    try_time timestamptz,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    CONSTRAINT subscriptions_pkey PRIMARY KEY (user_id, id),
    CONSTRAINT subscriptions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT subscriptions_plan_id_fkey FOREIGN KEY (plan_id) REFERENCES plans (id),
    CONSTRAINT subscriptions_user_id_place_key UNIQUE (user_id, place),
    CONSTRAINT subscriptions_cancel_time_check CHECK (NOT auto_renew OR cancel_time IS NULL)
);

-- A user has one subscription at most that renews.
CREATE UNIQUE INDEX subscriptions_user_id_key ON subscriptions (user_id) WHERE auto_renew;
CREATE INDEX subscriptions_end_time_idx ON subscriptions (end_time) WHERE auto_renew;
CREATE INDEX subscriptions_plan_id_idx ON subscriptions (plan_id);

-- One row per period that was charged, with the transaction that charged it. It never changes, but for its end: a whole
-- refund of it ends it at that time, by end_subscription_period(). A user's periods form a chain, numbered 1, 2, 3, ...
-- by `place`: each knows the end of the one before it (which a refund of that one brings forward here too), and does
-- not start before it. So no two of them overlap, whichever subscriptions they are of.
CREATE TABLE subscription_periods (
    user_id uuid NOT NULL,
    place bigint NOT NULL,
    subscription_id uuid NOT NULL,
    plan_id text NOT NULL,
    coins bigint NOT NULL,
    transaction_id uuid NOT NULL,
    -- Period `number` of those that are counted from the anchor, each of so many months.
    anchor timestamptz NOT NULL,
    months bigint NOT NULL,
    number bigint NOT NULL,
    start_time timestamptz NOT NULL GENERATED ALWAYS AS (period_start(anchor, months, number)) STORED,
    end_time timestamptz NOT NULL,
    refund_time timestamptz,
    previous_place bigint,
    previous_end_time timestamptz,
    CONSTRAINT subscription_periods_pkey PRIMARY KEY (user_id, place),
    CONSTRAINT subscription_periods_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT subscription_periods_subscription_id_fkey FOREIGN KEY (user_id, subscription_id)
    REFERENCES subscriptions (user_id, id),
    CONSTRAINT subscription_periods_plan_id_fkey FOREIGN KEY (plan_id, months) REFERENCES plans (id, months),
    CONSTRAINT subscription_periods_transaction_id_fkey FOREIGN KEY (transaction_id) REFERENCES transactions (id),
    CONSTRAINT subscription_periods_transaction_id_key UNIQUE (transaction_id),
    CONSTRAINT subscription_periods_end_time_key UNIQUE (user_id, place, end_time),
    CONSTRAINT subscription_periods_previous_place_fkey FOREIGN KEY (user_id, previous_place, previous_end_time)
    REFERENCES subscription_periods (user_id, place, end_time) ON UPDATE CASCADE,
    CONSTRAINT subscription_periods_previous_place_check CHECK (
        previous_place IS NOT DISTINCT FROM nullif(place - 1, 0)
        AND (previous_place IS NULL) = (previous_end_time IS NULL)
    ),
    CONSTRAINT subscription_periods_number_check CHECK (number >= 0),
    CONSTRAINT subscription_periods_start_time_check CHECK (
        period_start(anchor, months, number) >= coalesce(previous_end_time, '-infinity')
    ),
    CONSTRAINT subscription_periods_end_time_check CHECK (
        CASE
            WHEN refund_time IS NULL THEN end_time = period_start(anchor, months, number + 1)
            ELSE end_time BETWEEN coalesce(previous_end_time, anchor) AND period_start(anchor, months, number + 1)
        END
    )
);

CREATE INDEX subscription_periods_plan_id_idx ON subscription_periods (plan_id, months);

-- A subscription says what its last period says.
ALTER TABLE subscriptions ADD CONSTRAINT subscriptions_place_fkey FOREIGN KEY (user_id, place, end_time)
REFERENCES subscription_periods (user_id, place, end_time) ON UPDATE CASCADE;

GRANT SELECT ON plans TO banter_service;
GRANT SELECT, INSERT ON subscription_periods TO banter_service;
GRANT SELECT, INSERT ON subscriptions TO banter_service;
GRANT UPDATE (auto_renew, place, end_time, cancel_time, try_time, update_time) ON subscriptions TO banter_service;
