-- What is stored about one person: its erasure, and its export, table by table in the order of the queries here.
-- A query `export_<table>` is all that a table needs to be part of ExportUserData: it gives the person's rows as JSON
-- text in a column `record`, ordered by key.

-- name: delete_user :exec
-- Erases a living user: his row becomes a tombstone, and the rows that refer to living_users go with him.
-- repeatable: a tombstone stays as it is
-- way: own
-- index: users_pkey
UPDATE users
SET
    phone_number = NULL,
    country_code = NULL,
    full_name = NULL,
    email = NULL,
    username = NULL,
    avatar = NULL,
    bio = NULL,
    gender = NULL,
    birth_date = NULL,
    role = 'user',
    firebase_uid = NULL,
    timezone = NULL,
    is_verified = FALSE,
    is_active = FALSE,
    host_status = 'none',
    audio_rate = 0,
    video_rate = 0,
    update_time = clock(),
    delete_time = clock()
WHERE
    id = $user_id::uuid
    AND delete_time IS NULL;

-- name: get_delete_time :one
-- When a user was deleted. No row: there is no such user, or he lives.
-- index: users_pkey
-- not null: delete_time
SELECT micros(delete_time) AS delete_time
FROM users
WHERE
    id = $user_id::uuid
    AND delete_time IS NOT NULL;

-- name: export_users :many
-- The account and profile of a living user. No row: there is no such user, or no more.
-- row: record
-- way: own
-- index: users_pkey
-- not null: record
SELECT to_jsonb(users)::text AS record
FROM users
WHERE
    id = $user_id::uuid
    AND delete_time IS NULL;
