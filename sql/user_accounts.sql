-- Accounts as staff see them, and how one is found, taken out of use and brought back: queries of UserService.

-- name: get_user_by_username :one
-- The user of a username, whatever the case of its letters. No row: nobody has it.
-- row: profile
-- index: users_username_key
-- not null: user_id, full_name, role, is_verified, is_active, host_status, audio_rate, video_rate, create_time, update_time, is_online, rating_count, rating
SELECT
    user_id,
    phone_number,
    country_code,
    full_name,
    email,
    username,
    avatar,
    bio,
    gender,
    birth_date,
    age,
    role,
    firebase_uid,
    timezone,
    is_verified,
    is_active,
    host_status,
    audio_rate,
    video_rate,
    create_time,
    update_time,
    delete_time,
    is_online,
    last_seen_time,
    rating_count,
    rating
FROM profiles
WHERE lower(username) = lower($username::text);

-- name: get_user_by_firebase_uid :one
-- The user of a Firebase subject. No row: none is linked to it.
-- row: profile
-- index: users_firebase_uid_key
-- not null: user_id, full_name, role, is_verified, is_active, host_status, audio_rate, video_rate, create_time, update_time, is_online, rating_count, rating
SELECT
    user_id,
    phone_number,
    country_code,
    full_name,
    email,
    username,
    avatar,
    bio,
    gender,
    birth_date,
    age,
    role,
    firebase_uid,
    timezone,
    is_verified,
    is_active,
    host_status,
    audio_rate,
    video_rate,
    create_time,
    update_time,
    delete_time,
    is_online,
    last_seen_time,
    rating_count,
    rating
FROM profiles
WHERE firebase_uid = $firebase_uid::text;

-- name: deactivate_user :exec
-- Takes a living user's account out of use, if he has one of `roles` or is the actor himself: decided by the row as it
-- is when it changes. A second time nothing is different, and it is counted all the same.
-- repeatable: the same state again
-- index: users_pkey
UPDATE users
SET
    is_active = FALSE,
    update_time = CASE WHEN is_active THEN clock() ELSE update_time END
WHERE
    id = $user_id::uuid
    AND delete_time IS NULL
    AND (role = ANY($roles::text[]) OR id = $actor_id::uuid);

-- name: reactivate_user :exec
-- Takes a living user's account into use again, by the same rule as deactivate_user.
-- repeatable: the same state again
-- index: users_pkey
UPDATE users
SET
    is_active = TRUE,
    update_time = CASE WHEN is_active THEN update_time ELSE clock() END
WHERE
    id = $user_id::uuid
    AND delete_time IS NULL
    AND (role = ANY($roles::text[]) OR id = $actor_id::uuid);

-- name: list_users :many
-- Accounts of these roles, host statuses and states that were made from one time on and come after the cursor (time, id),
-- newest first; `skip` of them are passed over. However rare a combination of role, host status and state is, its accounts
-- are one range of the index, newest first: each gives no more rows than are asked for, and the newest of all of them are
-- the page.
-- row: profile
-- index: users_role_host_status_create_time_id_idx, users_pkey
-- not null: user_id, full_name, role, is_verified, is_active, host_status, audio_rate, video_rate, create_time, update_time, is_online, rating_count, rating
-- way: own
WITH page AS (
    SELECT
        newest.id,
        newest.create_time
    FROM unnest($roles::text[]) AS of_role (value)
    CROSS JOIN unnest($host_statuses::text[]) AS of_host_status (value)
    CROSS JOIN unnest($states::text[]) AS of_state (value)
    CROSS JOIN
        LATERAL (
            SELECT
                users.id,
                users.create_time
            FROM users
            WHERE
                users.role = of_role.value
                AND users.host_status = of_host_status.value
                AND user_state(users.is_active, users.delete_time) = of_state.value
                AND users.create_time >= 'epoch'::timestamptz + $from_time::bigint * interval '1 microsecond'
                AND (users.create_time, users.id) < (
                    'epoch'::timestamptz + $before_time::bigint * interval '1 microsecond',
                    $before_id::uuid
                )
            ORDER BY users.create_time DESC, users.id DESC
            LIMIT $skip::bigint + $page_limit::bigint
        ) AS newest
    ORDER BY newest.create_time DESC, newest.id DESC
    LIMIT $page_limit::bigint OFFSET $skip::bigint
)

SELECT
    user_id,
    phone_number,
    country_code,
    full_name,
    email,
    username,
    avatar,
    bio,
    gender,
    birth_date,
    age,
    role,
    firebase_uid,
    timezone,
    is_verified,
    is_active,
    host_status,
    audio_rate,
    video_rate,
    create_time,
    update_time,
    delete_time,
    is_online,
    last_seen_time,
    rating_count,
    rating
FROM profiles
WHERE id = ANY(ARRAY(SELECT page.id FROM page))
ORDER BY create_time DESC, id DESC;

-- name: count_users :many
-- How many accounts there are of each role, host status and state that somebody has. No row: there are none.
-- plan: it counts every account
-- not null: role, host_status, account_state, users_counted
-- way: own
SELECT
    role,
    host_status,
    user_state(is_active, delete_time) AS account_state,
    count(*) AS users_counted
FROM users
GROUP BY role, host_status, user_state(is_active, delete_time);

-- name: count_premium_users :one
-- How many users have a paid period that runs at this moment. Always a row.
-- plan: it looks at every paid period
-- not null: users_counted
-- way: own
SELECT count(*) AS users_counted
FROM subscription_periods
WHERE
    start_time <= clock()
    AND clock() < end_time;
