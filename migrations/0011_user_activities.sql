-- What users do, by month, and the months' partitions: made ahead, dropped when they are old.
-- depends: 0010_notifications

CREATE TABLE user_activities (
    user_id uuid NOT NULL,
    occur_time timestamptz NOT NULL,
    id uuid NOT NULL,
    type text NOT NULL,
    data jsonb NOT NULL,
    CONSTRAINT user_activities_pkey PRIMARY KEY (user_id, occur_time, id),
    CONSTRAINT user_activities_user_id_fkey FOREIGN KEY (user_id) REFERENCES living_users (user_id) ON DELETE CASCADE,
    CONSTRAINT user_activities_type_check CHECK (
        type ~ '^[a-z][a-z0-9_]*([.][a-z0-9_]+)*$' AND char_length(type) <= 64
    ),
    -- Numbers grow here: 1e300 is five characters on its way in, and 301 on its way out.
    CONSTRAINT user_activities_data_check CHECK (
        jsonb_typeof(data) = 'object' AND octet_length(data::text) <= 16384
    )
) PARTITION BY RANGE (occur_time);

GRANT SELECT, INSERT ON user_activities TO banter_service;

-- Makes the partitions that are missing, from the month of 31 days ago to two months ahead, and says how many. A table
-- that is made first and attached then lets inserts go on; its foreign key has signups wait for a moment, and rather
-- than have them wait for long it gives up: whoever calls it calls it again.
CREATE FUNCTION make_activity_partitions() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET timezone = 'UTC' SET lock_timeout = '500ms'
AS $$
DECLARE
    month timestamptz;
    partition text;
    made integer := 0;
BEGIN
    LOCK TABLE ONLY user_activities IN SHARE UPDATE EXCLUSIVE MODE;  -- one at a time
    FOR month IN
        SELECT generate_series(
            date_trunc('month', clock() - INTERVAL '31 days'),
            date_trunc('month', clock()) + INTERVAL '2 months',
            INTERVAL '1 month'
        )
    LOOP
        partition := 'user_activities_' || to_char(month, 'YYYY_MM');
        CONTINUE WHEN to_regclass(partition) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE user_activities INCLUDING ALL)', partition);
        EXECUTE format(
            'ALTER TABLE user_activities ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            partition, month, month + INTERVAL '1 month'
        );
        made := made + 1;
    END LOOP;
    RETURN made;
END;
$$;

-- Drops the partitions whose last day is more than 13 months ago, and says how many. Dropped as they are they take the
-- whole table for a moment; detached before, they would take living_users too. Inserts wait behind it for half a second
-- at most: then it gives up.
CREATE FUNCTION drop_activity_partitions() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp SET timezone = 'UTC' SET lock_timeout = '500ms'
AS $$
DECLARE
    partition text;
    dropped integer := 0;
BEGIN
    LOCK TABLE ONLY user_activities IN SHARE UPDATE EXCLUSIVE MODE;  -- one at a time
    FOR partition IN
        SELECT child.relname
        FROM pg_inherits
        INNER JOIN pg_class AS child ON child.oid = pg_inherits.inhrelid
        WHERE
            pg_inherits.inhparent = 'user_activities'::regclass
            AND to_date(right(child.relname, 7), 'YYYY_MM') + INTERVAL '1 month' <= clock() - INTERVAL '13 months'
        ORDER BY child.relname
    LOOP
        EXECUTE format('DROP TABLE %I', partition);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END;
$$;

REVOKE ALL ON FUNCTION make_activity_partitions(), drop_activity_partitions() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION make_activity_partitions(), drop_activity_partitions() TO banter_service;

SELECT make_activity_partitions();
