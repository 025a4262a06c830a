-- What users do: recorded by the thousand, and counted by day and type.

-- name: record_activities :one
-- Records what a user did, unless it was recorded before, and tallies what was really inserted, in the same statement:
-- either both are there or neither is, whatever dies. No row: there is no such user, or no more.
-- plan: it inserts what it is given
-- repeatable: the ids are the caller's
-- not null: user_id
WITH living AS (
    SELECT found.user_id
    FROM lock_living_users(ARRAY[$user_id::uuid]) AS found (user_id)
),

recorded AS (
    INSERT INTO user_activities (user_id, occur_time, id, type, data)
    SELECT
        living.user_id,
        'epoch'::timestamptz + given.occur_time * '1 microsecond'::interval,
        given.id,
        given.type,
        given.data
    FROM living
    CROSS JOIN
        unnest(
            $ids::uuid[], $occur_times::int8[], $types::text[], $data::jsonb[]
        ) AS given (id, occur_time, type, data)
    ON CONFLICT (user_id, occur_time, id) DO NOTHING
    RETURNING occur_time, type
),

tallied AS (
    INSERT INTO activity_tallies (day, type, id, count)
    SELECT
        (occur_time AT TIME ZONE 'UTC')::date AS day,
        type,
        $tally_id::uuid,
        count(*)
    FROM recorded
    GROUP BY day, type
)

SELECT user_id::text AS user_id
FROM living;

-- name: get_activity_stats :many
-- How many activities there were by day and type, in this order: those after a day and type, up to a last day. Totals
-- and what is not yet folded into them, of one snapshot. Whatever is among the first rows of both together is among as
-- many first ones of its own: each is read no further.
-- way: own
-- index: activity_totals_pkey, activity_tallies_pkey
-- not null: day, type, activity_count
WITH folded AS (
    SELECT
        day,
        type,
        count
    FROM activity_totals
    WHERE (day, type) > ($after_day::text::date, $after_type::text) AND day <= $last_day::text::date
    ORDER BY day, type
    LIMIT $at_most::int8
),

tallied AS (
    SELECT
        day,
        type,
        sum(count) AS count
    FROM activity_tallies
    WHERE (day, type) > ($after_day::text::date, $after_type::text) AND day <= $last_day::text::date
    GROUP BY day, type
    ORDER BY day, type
    LIMIT $at_most::int8
),

counted AS (
    SELECT
        day,
        type,
        count
    FROM folded
    UNION ALL
    SELECT
        day,
        type,
        count
    FROM tallied
)

SELECT
    counted.day::text AS day,
    counted.type,
    sum(counted.count)::int8 AS activity_count
FROM counted
GROUP BY counted.day, counted.type
ORDER BY counted.day, counted.type
LIMIT $at_most::int8;

-- name: fold_activity_tallies :one
-- Adds tallies, at most `at_most`, to their totals, and says how many. Two that fold at once take different tallies, and
-- meet the totals in the same order; whoever reads sees a tally, or the total that has it.
-- way: own
-- repeatable: what was folded is gone
-- index: activity_tallies_pkey
-- not null: folded_count
WITH taken AS (
    SELECT
        day,
        type,
        id
    FROM activity_tallies
    ORDER BY day, type, id
    LIMIT $at_most::int8
    FOR UPDATE SKIP LOCKED
),

folded AS (
    DELETE FROM activity_tallies
    USING taken
    WHERE
        activity_tallies.day = taken.day
        AND activity_tallies.type = taken.type
        AND activity_tallies.id = taken.id
    RETURNING activity_tallies.day, activity_tallies.type, activity_tallies.count
),

added AS (
    INSERT INTO activity_totals AS total (day, type, count)
    SELECT
        day,
        type,
        sum(count)
    FROM folded
    GROUP BY day, type
    ORDER BY day, type
    ON CONFLICT (day, type) DO UPDATE SET count = total.count + excluded.count
)

SELECT count(*) AS folded_count
FROM folded;

-- name: make_activity_partitions :one
-- Makes the partitions of activities that are missing, up to two months ahead, and says how many.
-- plan: one function
-- way: own
-- repeatable: what is there stays
-- not null: made_count
SELECT make_activity_partitions() AS made_count;

-- name: drop_activity_partitions :one
-- Drops the partitions of activities that are older than 13 months, and says how many.
-- plan: one function
-- way: own
-- repeatable: what is gone stays so
-- not null: dropped_count
SELECT drop_activity_partitions() AS dropped_count;
