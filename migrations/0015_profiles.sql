-- A user's profile with what stands beside him: presence, and what was made of his ratings.
-- depends: 0014_hosts

-- A user as the contract shows him: ids as text, times as microseconds, age and online derived. New columns stand at
-- the end, so that the view keeps its grants.
CREATE OR REPLACE VIEW profiles AS
SELECT
    users.id,
    users.id::text AS user_id,
    users.phone_number,
    users.country_code,
    coalesce(users.full_name, 'Deleted user') AS full_name,
    users.email,
    users.username,
    users.avatar,
    users.bio,
    users.gender,
    users.birth_date::text AS birth_date,
    date_part('year', age((clock() AT TIME ZONE 'UTC')::date, users.birth_date))::integer AS age,
    users.role,
    users.firebase_uid,
    users.timezone,
    users.is_verified,
    users.is_active,
    users.host_status,
    users.audio_rate,
    users.video_rate,
    micros(users.create_time) AS create_time,
    micros(users.update_time) AS update_time,
    micros(users.delete_time) AS delete_time,
    coalesce(presence.last_seen >= clock() - interval '60 seconds', FALSE) AS is_online,
    micros(presence.last_seen) AS last_seen_time,
    coalesce(hosts.rating_count, 0) AS rating_count,
    coalesce(hosts.rating, 0) / 100.0::float8 AS rating
FROM users
LEFT JOIN presence ON users.id = presence.user_id
LEFT JOIN hosts ON users.id = hosts.user_id;
