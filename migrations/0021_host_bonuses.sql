-- Bonuses: one per host, rule and period.
-- depends: 0020_withdrawals

CREATE TABLE host_bonuses (
    user_id uuid NOT NULL,
    rule text NOT NULL,
    period text NOT NULL,
    coins bigint NOT NULL,
    transaction_id uuid NOT NULL,
    create_time timestamptz NOT NULL,
    CONSTRAINT host_bonuses_pkey PRIMARY KEY (user_id, rule, period),
    CONSTRAINT host_bonuses_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT host_bonuses_transaction_id_fkey FOREIGN KEY (transaction_id) REFERENCES transactions (id),
    CONSTRAINT host_bonuses_transaction_id_key UNIQUE (transaction_id),
    CONSTRAINT host_bonuses_rule_check CHECK (rule ~ '^[a-z0-9._-]{1,64}$'),
    CONSTRAINT host_bonuses_period_check CHECK (
        period ~ '^[0-9]{4}-(W(0[1-9]|[1-4][0-9]|5[0-3])|(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?)$'
    ),
    CONSTRAINT host_bonuses_coins_check CHECK (coins BETWEEN 1 AND 1000000000)
);

CREATE INDEX host_bonuses_user_id_create_time_idx ON host_bonuses (user_id, create_time, transaction_id);

CREATE TRIGGER host_bonuses_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON host_bonuses
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

GRANT SELECT, INSERT ON host_bonuses TO banter_service;
