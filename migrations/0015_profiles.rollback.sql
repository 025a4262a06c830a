DROP VIEW profiles;

-- A user as the contract shows him: ids as text, times as microseconds, age derived.
CREATE VIEW profiles AS
SELECT
    id,
    id::text AS user_id,
    phone_number,
    country_code,
    coalesce(full_name, 'Deleted user') AS full_name,
    email,
    username,
    avatar,
    bio,
    gender,
    birth_date::text AS birth_date,
    date_part('year', age((clock() AT TIME ZONE 'UTC')::date, birth_date))::integer AS age,
    role,
    firebase_uid,
    timezone,
    is_verified,
    is_active,
    host_status,
    audio_rate,
    video_rate,
    micros(create_time) AS create_time,
    micros(update_time) AS update_time,
    micros(delete_time) AS delete_time
FROM users;

GRANT SELECT ON profiles TO banter_service;
