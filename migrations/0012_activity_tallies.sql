-- How many activities there were by day and type. Whoever records some adds a row of his own to activity_tallies, so that
-- nobody waits for anybody; a job folds these into activity_totals. Both together are the number, at any moment. Neither
-- says whose they were: numbers stay when a person goes.
-- depends: 0011_user_activities

CREATE TABLE activity_totals (
    day date NOT NULL,
    type text COLLATE "C" NOT NULL,
    count bigint NOT NULL,
    CONSTRAINT activity_totals_pkey PRIMARY KEY (day, type),
    CONSTRAINT activity_totals_count_check CHECK (count > 0)
);

GRANT SELECT, INSERT, UPDATE ON activity_totals TO banter_service;

-- What is folded is deleted: vacuumed often, it stays small.
CREATE TABLE activity_tallies (
    day date NOT NULL,
    type text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    count bigint NOT NULL,
    CONSTRAINT activity_tallies_pkey PRIMARY KEY (day, type, id),
    CONSTRAINT activity_tallies_count_check CHECK (count > 0)
) WITH (autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0.05);

GRANT SELECT, INSERT, DELETE ON activity_tallies TO banter_service;
-- Nobody changes one; locking one takes this right.
GRANT UPDATE (count) ON activity_tallies TO banter_service;
