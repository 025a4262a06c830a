-- Accounts and profiles: the queries of UserService.

-- name: get_user :one
-- One user, deleted ones too. No row: there is no such user.
-- row: profile
-- index: users_pkey, presence_pkey, hosts_pkey
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
WHERE id = $user_id::uuid;

-- name: batch_get_users :many
-- The users of many ids, in the ids' order, deleted ones too. An id that nobody has gives no row.
-- row: profile
-- index: users_pkey, presence_pkey, hosts_pkey
-- not null: user_id, full_name, role, is_verified, is_active, host_status, audio_rate, video_rate, create_time, update_time, is_online, rating_count, rating
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
    profiles.rating
FROM unnest($user_ids::uuid[]) WITH ORDINALITY AS asked (id, place)
INNER JOIN profiles ON asked.id = profiles.id
ORDER BY asked.place;

-- name: get_user_by_phone_number :one
-- The user of a phone number. No row: nobody has it.
-- row: profile
-- index: users_phone_number_key, presence_pkey, hosts_pkey
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
WHERE phone_number = $phone_number::text;

-- name: insert_user :exec
-- A new user, unless somebody has his phone number or his firebase_uid. However many insert one number at once, one
-- row comes of it and nobody gets an error: every unique index decides, and the statement after this one sees who won.
-- repeatable: the id is the caller's
-- optional: firebase_uid
INSERT INTO users (id, phone_number, country_code, full_name, firebase_uid, timezone, create_time, update_time)
SELECT
    $user_id::uuid,
    $phone_number::text,
    $country_code::text,
    $full_name::text,
    $firebase_uid::text,
    $timezone::text,
    clock(),
    clock()
ON CONFLICT DO NOTHING;

-- name: link_firebase_uid :exec
-- Gives the user of a phone number his firebase_uid if he has none. Another user's raises users_firebase_uid_key.
-- repeatable: once set, it stays
-- optional: firebase_uid
-- index: users_phone_number_key
UPDATE users
SET
    firebase_uid = $firebase_uid::text,
    update_time = clock()
WHERE
    phone_number = $phone_number::text
    AND firebase_uid IS NULL
    AND $firebase_uid::text IS NOT NULL;

-- name: update_user :exec
-- Sets the columns of a living user that `mask` names. Nothing changes when it names none.
-- repeatable: the same values again
-- optional: full_name, email, username, avatar, bio, gender, birth_date, timezone
-- index: users_pkey
UPDATE users
SET
    full_name = CASE WHEN 'full_name' = ANY($mask::text[]) THEN $full_name::text ELSE full_name END,
    email = CASE WHEN 'email' = ANY($mask::text[]) THEN $email::text ELSE email END,
    username = CASE WHEN 'username' = ANY($mask::text[]) THEN $username::text ELSE username END,
    avatar = CASE WHEN 'avatar' = ANY($mask::text[]) THEN $avatar::text ELSE avatar END,
    bio = CASE WHEN 'bio' = ANY($mask::text[]) THEN $bio::text ELSE bio END,
    gender = CASE WHEN 'gender' = ANY($mask::text[]) THEN $gender::text ELSE gender END,
    birth_date = CASE WHEN 'birth_date' = ANY($mask::text[]) THEN $birth_date::text::date ELSE birth_date END,
    timezone = CASE WHEN 'timezone' = ANY($mask::text[]) THEN $timezone::text ELSE timezone END,
    update_time = clock()
WHERE
    id = $user_id::uuid
    AND delete_time IS NULL
    AND cardinality($mask::text[]) > 0;

-- name: set_user_role :exec
-- Gives a living user a role.
-- repeatable: the same role again
-- index: users_pkey
UPDATE users
SET
    role = $role::text,
    update_time = clock()
WHERE
    id = $user_id::uuid
    AND delete_time IS NULL;

-- name: find_first_user :one
-- The oldest account's id, deleted ones too. No row: nobody has ever had one.
-- index: users_pkey
-- not null: user_id
SELECT id::text AS user_id
FROM users
ORDER BY id
LIMIT 1;
