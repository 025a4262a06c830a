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

-- name: list_hosts :many
-- One page of active hosts: those who are online first, then the others; the best rated first, and of equals the newest.
-- Who is online is decided once for a whole walk: who was seen from 60 seconds before `as_of` on, which is the time of
-- the walk's first page (0 there). last_seen only grows, so that a host can go over to those who are online and never
-- back, and none is listed twice. Each part begins after a place of its own, (rating, user_id).
-- Presence and state are looked up row by row, by subqueries, in the order of an index: a join the planner might turn
-- round, and read every user; state after presence, of those only who pass. The last part's limit is what the first one
-- has left of the page.
-- index: hosts_seen_lately_rating_user_id_idx, hosts_rating_user_id_idx, presence_pkey, users_pkey, hosts_pkey
-- not null: user_id, phone_number, country_code, full_name, role, timezone, is_verified, is_active, host_status, audio_rate, video_rate, create_time, update_time, is_online, rating_count, rating, as_of, listed_online, listed_rating
WITH walk AS MATERIALIZED (
    SELECT
        CASE
            WHEN $as_of::bigint = 0 THEN clock()
            ELSE to_timestamp(0) + $as_of::bigint * interval '1 microsecond'
        END AS as_of
),

online AS MATERIALIZED (
    SELECT
        user_id,
        rating
    FROM hosts
    WHERE
        seen_lately
        AND (rating, user_id) < ($online_rating::bigint, $online_id::uuid)
        AND CASE
            WHEN (
                SELECT presence.last_seen FROM presence
                WHERE presence.user_id = hosts.user_id
            ) >= (SELECT walk.as_of - interval '60 seconds' FROM walk)
                THEN (
                    SELECT users.is_active FROM users
                    WHERE users.id = hosts.user_id
                )
        END
    ORDER BY rating DESC, user_id DESC
    LIMIT $page_limit::bigint
),

others AS MATERIALIZED (
    SELECT
        user_id,
        rating
    FROM hosts
    WHERE
        (rating, user_id) < ($other_rating::bigint, $other_id::uuid)
        AND CASE
            WHEN
                coalesce(
                    (
                        SELECT presence.last_seen FROM presence
                        WHERE presence.user_id = hosts.user_id
                    ) < (SELECT walk.as_of - interval '60 seconds' FROM walk),
                    TRUE
                )
                THEN (
                    SELECT users.is_active FROM users
                    WHERE users.id = hosts.user_id
                )
        END
    ORDER BY rating DESC, user_id DESC
    LIMIT $page_limit::bigint - (SELECT count(*) FROM online)
),

found AS (
    SELECT
        user_id,
        rating,
        TRUE AS is_online
    FROM online
    UNION ALL
    SELECT
        user_id,
        rating,
        FALSE AS is_online
    FROM others
),

page AS (
    SELECT
        array_agg(user_id ORDER BY is_online DESC, rating DESC, user_id DESC) AS ids,
        array_agg(rating ORDER BY is_online DESC, rating DESC, user_id DESC) AS ratings,
        array_agg(is_online ORDER BY is_online DESC, rating DESC, user_id DESC) AS are_online
    FROM found
)

SELECT
    profiles.user_id,
    profiles.phone_number,
    profiles.country_code,
    profiles.full_name,
    profiles.email,
    profiles.username,
    profiles.avatar,
    profiles.bio,
    profiles.gender,
    profiles.birth_date,
    profiles.age,
    profiles.role,
    profiles.firebase_uid,
    profiles.timezone,
    profiles.is_verified,
    profiles.is_active,
    profiles.host_status,
    profiles.audio_rate,
    profiles.video_rate,
    profiles.create_time,
    profiles.update_time,
    profiles.delete_time,
    profiles.is_online,
    profiles.last_seen_time,
    profiles.rating_count,
    profiles.rating,
    micros(walk.as_of) AS as_of,
    listed.is_online AS listed_online,
    listed.rating AS listed_rating
FROM walk
CROSS JOIN page
CROSS JOIN unnest(page.ids, page.ratings, page.are_online) WITH ORDINALITY AS listed (id, rating, is_online, place)
INNER JOIN profiles ON listed.id = profiles.id
ORDER BY listed.place;

-- name: clear_seen_lately :exec
-- Takes the mark from at most `most` hosts who were not seen for an hour, so that those who are online are found among
-- few. It keeps to whose presence it can lock at once: a heartbeat that comes then waits, and marks the host again in
-- its next statement. Who was never seen keeps his mark. Lists stay right without it; a walk that takes longer than
-- an hour may miss those whom it took the mark from.
-- repeatable: cleared is cleared
-- index: hosts_seen_lately_rating_user_id_idx, presence_pkey, hosts_pkey
WITH gone AS MATERIALIZED (
    SELECT presence.user_id
    FROM hosts
    INNER JOIN presence ON hosts.user_id = presence.user_id
    WHERE
        hosts.seen_lately
        AND presence.last_seen < clock() - interval '1 hour'
    ORDER BY hosts.rating, hosts.user_id
    LIMIT $most::bigint
    FOR NO KEY UPDATE OF presence SKIP LOCKED
)

UPDATE hosts
SET seen_lately = FALSE
FROM gone
WHERE hosts.user_id = gone.user_id;
