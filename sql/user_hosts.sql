-- Hosts: how one becomes one, his rates, and how he is found.

-- name: lock_host_status :one
-- Locks a living user, for what changes his host_status: the statements after it see what came before. No row: nobody
-- lives who has this id.
-- index: users_pkey
-- not null: host_status
SELECT host_status
FROM users
WHERE
    id = $user_id::uuid
    AND delete_time IS NULL
FOR NO KEY UPDATE;

-- name: insert_host_verification :exec
-- A new request to become a host, unless one is pending or the user is a host. Follows lock_host_status.
-- optional: note
INSERT INTO host_verifications (user_id, id, status, note, create_time)
SELECT
    id,
    $verification_id::uuid,
    'pending',
    $note::text,
    clock()
FROM users
WHERE
    id = $user_id::uuid
    AND delete_time IS NULL
    AND host_status <> 'approved'
ON CONFLICT (user_id) WHERE status = 'pending' DO NOTHING;

-- name: review_host_verification :exec
-- Decides the pending request of a user; no row changes if he has none. Follows lock_host_status.
-- optional: note
-- index: host_verifications_user_id_key
UPDATE host_verifications
SET
    status = $decision::text,
    reviewer_id = $reviewer_id::uuid,
    review_note = $note::text,
    review_time = clock()
WHERE
    user_id = $user_id::uuid
    AND status = 'pending';

-- name: update_host_status :exec
-- Brings a user's host_status to where his newest request has come. Follows what changed that, behind his lock.
-- index: users_pkey, host_verifications_pkey
WITH newest AS (
    SELECT status
    FROM host_verifications
    WHERE user_id = $user_id::uuid
    ORDER BY create_time DESC, id DESC
    LIMIT 1
)

UPDATE users
SET
    host_status = newest.status,
    update_time = clock()
FROM newest
WHERE
    users.id = $user_id::uuid
    AND users.delete_time IS NULL
    AND users.host_status NOT IN ('approved', newest.status);

-- name: insert_host :exec
-- Makes an approved user a host. His rates stay as they are: 0, calls that are free, until he sets them.
INSERT INTO hosts (user_id, create_time)
SELECT
    id,
    clock()
FROM users
WHERE
    id = $user_id::uuid
    AND delete_time IS NULL
    AND host_status = 'approved'
ON CONFLICT (user_id) DO NOTHING;

-- name: get_newest_host_verification :one
-- A user's newest request to become a host. No row: he never asked.
-- index: host_verifications_pkey
-- not null: user_id, id, status, create_time
SELECT
    user_id::text AS user_id,
    id::text AS id,
    status,
    note,
    reviewer_id::text AS reviewer_id,
    review_note,
    micros(create_time) AS create_time,
    micros(review_time) AS review_time
FROM host_verifications
WHERE user_id = $user_id::uuid
ORDER BY create_time DESC, id DESC
LIMIT 1;

-- name: set_host_rates :exec
-- Sets the rates of a host, those that are given. No row changes unless he is an approved one.
-- repeatable: the same rates again
-- optional: audio_rate, video_rate
-- index: users_pkey
UPDATE users
SET
    audio_rate = coalesce($audio_rate::bigint, audio_rate),
    video_rate = coalesce($video_rate::bigint, video_rate),
    update_time = clock()
WHERE
    id = $user_id::uuid
    AND delete_time IS NULL
    AND host_status = 'approved';
