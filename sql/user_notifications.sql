-- Notifications: what services tell users, until they have read and deleted it.

-- name: send_notifications :one
-- Sends notifications to those of their recipients who live, in the order given, and says how many and who else was
-- named. With a send_key that was used before nothing is sent: what get_notification_send then finds is the answer.
-- plan: it inserts what it is given
-- way: own
-- optional: send_key
-- repeatable: the ids are the caller's
-- not null: sent_count, missed_user_ids
WITH asked AS (
    SELECT
        given.id,
        given.user_id,
        given.type,
        given.title,
        given.body,
        given.data
    FROM unnest(
        $ids::uuid[], $user_ids::uuid[], $types::text[], $titles::text[], $bodies::text[], $data::jsonb[]
    ) AS given (id, user_id, type, title, body, data)
),

living AS (
    SELECT found.user_id
    FROM lock_living_users($user_ids::uuid[]) AS found (user_id)
),

outcome AS (
    SELECT
        count(living.user_id) AS sent_count,
        coalesce(array_agg(DISTINCT asked.user_id) FILTER (WHERE living.user_id IS NULL), '{}') AS missed_user_ids
    FROM asked
    LEFT JOIN living ON asked.user_id = living.user_id
),

remembered AS (
    INSERT INTO notification_sends (send_key, sent_count, missed_user_ids, create_time)
    SELECT
        $send_key::uuid,
        sent_count,
        missed_user_ids,
        clock()
    FROM outcome
    WHERE $send_key::uuid IS NOT NULL
    ON CONFLICT (send_key) DO NOTHING
    RETURNING send_key
),

fresh AS (
    SELECT send_key
    FROM remembered
    UNION ALL
    SELECT NULL::uuid
    WHERE $send_key::uuid IS NULL
),

sent AS (
    INSERT INTO notifications (user_id, id, type, title, body, data, create_time)
    SELECT
        asked.user_id,
        asked.id,
        asked.type,
        asked.title,
        asked.body,
        asked.data,
        clock()
    FROM asked
    INNER JOIN living ON asked.user_id = living.user_id
    WHERE EXISTS (SELECT FROM fresh)
    ON CONFLICT (user_id, id) DO NOTHING
)

SELECT
    sent_count,
    missed_user_ids::text[] AS missed_user_ids
FROM outcome;

-- name: get_notification_send :one
-- What the first one to use a send_key was answered. No row: nobody has used it, or there is none.
-- way: own
-- optional: send_key
-- index: notification_sends_pkey
-- not null: sent_count, missed_user_ids
SELECT
    sent_count,
    missed_user_ids::text[] AS missed_user_ids
FROM notification_sends
WHERE send_key = $send_key::uuid;

-- name: list_notifications :many
-- A user's notifications that are older than one of them, newest first.
-- row: notification
-- index: notifications_pkey
-- not null: notification_id, type, title, body, data, create_time
SELECT
    id::text AS notification_id,
    type,
    title,
    body,
    data::text AS data,
    micros(read_time) AS read_time,
    micros(create_time) AS create_time
FROM notifications
WHERE
    user_id = $user_id::uuid
    AND id < $before_id::uuid
ORDER BY id DESC
LIMIT $at_most::int8;

-- name: list_unread_notifications :many
-- The same of those that he has not read.
-- row: notification
-- index: notifications_user_id_id_idx
-- not null: notification_id, type, title, body, data, create_time
SELECT
    id::text AS notification_id,
    type,
    title,
    body,
    data::text AS data,
    micros(read_time) AS read_time,
    micros(create_time) AS create_time
FROM notifications
WHERE
    user_id = $user_id::uuid
    AND id < $before_id::uuid
    AND read_time IS NULL
ORDER BY id DESC
LIMIT $at_most::int8;

-- name: count_unread_notifications :one
-- How many notifications a user has not read.
-- index: notifications_user_id_id_idx
-- not null: unread_count
SELECT count(*) AS unread_count
FROM notifications
WHERE
    user_id = $user_id::uuid
    AND read_time IS NULL;

-- name: mark_notifications_read :exec
-- Marks those of the ids that are a user's and unread. Rows are locked in the order of their ids, here and below, so that
-- two who change the same ones wait for each other, and never both.
-- repeatable: what is read stays so
-- index: notifications_pkey
WITH unread AS (
    SELECT id
    FROM notifications
    WHERE
        user_id = $user_id::uuid
        AND id = ANY($ids::uuid[])
        AND read_time IS NULL
    ORDER BY id
    FOR NO KEY UPDATE
)

UPDATE notifications
SET read_time = clock()
FROM unread
WHERE
    notifications.user_id = $user_id::uuid
    AND notifications.id = unread.id;

-- name: mark_all_notifications_read :exec
-- Marks all that a user has not read.
-- way: own
-- repeatable: what is read stays so
-- index: notifications_user_id_id_idx, notifications_pkey
WITH unread AS (
    SELECT id
    FROM notifications
    WHERE
        user_id = $user_id::uuid
        AND read_time IS NULL
    ORDER BY id
    FOR NO KEY UPDATE
)

UPDATE notifications
SET read_time = clock()
FROM unread
WHERE
    notifications.user_id = $user_id::uuid
    AND notifications.id = unread.id;

-- name: delete_notifications :exec
-- Deletes those of the ids that are a user's.
-- repeatable: what is gone stays so
-- index: notifications_pkey
WITH own AS (
    SELECT id
    FROM notifications
    WHERE
        user_id = $user_id::uuid
        AND id = ANY($ids::uuid[])
    ORDER BY id
    FOR UPDATE
)

DELETE FROM notifications
USING own
WHERE
    notifications.user_id = $user_id::uuid
    AND notifications.id = own.id;

-- name: delete_all_notifications :exec
-- Deletes all notifications of a user.
-- way: own
-- repeatable: what is gone stays so
-- index: notifications_pkey
WITH own AS (
    SELECT id
    FROM notifications
    WHERE user_id = $user_id::uuid
    ORDER BY id
    FOR UPDATE
)

DELETE FROM notifications
USING own
WHERE
    notifications.user_id = $user_id::uuid
    AND notifications.id = own.id;

-- name: purge_read_notifications :exec
-- Deletes notifications that were read more than 90 days ago: the oldest of them, at most `at_most`. Those that somebody
-- works on are left to the next run.
-- way: own
-- repeatable: what is gone stays so
-- index: notifications_read_time_idx, notifications_pkey
WITH old AS (
    SELECT
        user_id,
        id
    FROM notifications
    WHERE read_time < clock() - '90 days'::interval
    ORDER BY read_time
    LIMIT $at_most::int8
    FOR UPDATE SKIP LOCKED
)

DELETE FROM notifications
USING old
WHERE
    notifications.user_id = old.user_id
    AND notifications.id = old.id;

-- name: purge_notification_sends :exec
-- Forgets what was answered to senders more than 30 days ago: the oldest, at most `at_most`.
-- way: own
-- repeatable: what is gone stays so
-- index: notification_sends_create_time_idx, notification_sends_pkey
WITH old AS (
    SELECT send_key
    FROM notification_sends
    WHERE create_time < clock() - '30 days'::interval
    ORDER BY create_time
    LIMIT $at_most::int8
)

DELETE FROM notification_sends
USING old
WHERE notification_sends.send_key = old.send_key;
