-- Accounts and profiles.
-- depends: 0001_clock

CREATE TABLE users (
    id uuid NOT NULL,
    phone_number text,
    country_code text,
    full_name text,
    email text,
    username text,
    avatar text,
    bio text,
    gender text,
    birth_date date,
    role text NOT NULL DEFAULT 'user',
    firebase_uid text,
    timezone text,
    is_verified boolean NOT NULL DEFAULT FALSE,
    is_active boolean NOT NULL DEFAULT TRUE,
    host_status text NOT NULL DEFAULT 'none',
    audio_rate bigint NOT NULL DEFAULT 0,
    video_rate bigint NOT NULL DEFAULT 0,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    delete_time timestamptz,
    CONSTRAINT users_pkey PRIMARY KEY (id),
    CONSTRAINT users_phone_number_key UNIQUE (phone_number),
    CONSTRAINT users_firebase_uid_key UNIQUE (firebase_uid),
    CONSTRAINT users_phone_number_check CHECK (phone_number ~ '^\+[1-9][0-9]{4,14}$'),
    CONSTRAINT users_country_code_check CHECK (country_code ~ '^\+[1-9][0-9]{0,2}$'),
    CONSTRAINT users_full_name_check CHECK (char_length(full_name) BETWEEN 1 AND 100),
    CONSTRAINT users_email_check CHECK (char_length(email) BETWEEN 3 AND 254),
    CONSTRAINT users_username_check CHECK (username ~ '^[A-Za-z0-9._]{3,30}$'),
    CONSTRAINT users_avatar_check CHECK (avatar LIKE 'https://%' AND char_length(avatar) <= 2048),
    CONSTRAINT users_bio_check CHECK (char_length(bio) <= 500),
    CONSTRAINT users_gender_check CHECK (gender IN ('male', 'female', 'other', 'prefer_not_to_say')),
    CONSTRAINT users_birth_date_check CHECK (birth_date >= '1900-01-01'),
    CONSTRAINT users_role_check CHECK (role IN ('user', 'moderator', 'admin')),
    CONSTRAINT users_host_status_check CHECK (host_status IN ('none', 'pending', 'approved', 'rejected')),
    CONSTRAINT users_audio_rate_check CHECK (audio_rate BETWEEN 0 AND 1000000000),
    CONSTRAINT users_video_rate_check CHECK (video_rate BETWEEN 0 AND 1000000000),
    -- A living user has what everybody needs; a deleted one keeps his row and nothing that says who he was.
    CONSTRAINT users_delete_time_check CHECK (
        CASE
            WHEN delete_time IS NULL
                THEN num_nulls(phone_number, country_code, full_name, timezone) = 0
            ELSE NOT is_active AND num_nonnulls(
                phone_number, country_code, full_name, email, username, avatar, bio, gender, birth_date, firebase_uid,
                timezone
            ) = 0
        END
    )
);

CREATE UNIQUE INDEX users_email_key ON users (lower(email));
CREATE UNIQUE INDEX users_username_key ON users (lower(username));

GRANT SELECT, INSERT, UPDATE ON users TO banter_service;

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

-- A hint to every server that what it remembers of this caller is old. Nothing depends on its arrival.
CREATE FUNCTION users_notify() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_notify('banter_caller', new.id::text);
    RETURN NULL;
END;
$$;

CREATE TRIGGER users_notify
AFTER UPDATE OF role, is_active, firebase_uid ON users
FOR EACH ROW
WHEN ((old.role, old.is_active, old.firebase_uid) IS DISTINCT FROM (new.role, new.is_active, new.firebase_uid))
EXECUTE FUNCTION users_notify();
