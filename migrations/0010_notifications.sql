-- Notifications, and what was answered to those who sent them with a request_id.
-- depends: 0009_leases

CREATE TABLE notifications (
    user_id uuid NOT NULL,
    id uuid NOT NULL,
    type text NOT NULL,
    title text NOT NULL,
    body text NOT NULL,
    data jsonb NOT NULL,
    read_time timestamptz,
    create_time timestamptz NOT NULL,
    CONSTRAINT notifications_pkey PRIMARY KEY (user_id, id),
    CONSTRAINT notifications_user_id_fkey FOREIGN KEY (user_id) REFERENCES living_users (user_id) ON DELETE CASCADE,
    CONSTRAINT notifications_type_check CHECK (type ~ '^[a-z][a-z0-9_]*([.][a-z0-9_]+)*$' AND char_length(type) <= 64),
    CONSTRAINT notifications_title_check CHECK (char_length(title) BETWEEN 1 AND 200),
    CONSTRAINT notifications_body_check CHECK (char_length(body) <= 2000),
    -- Numbers grow here: 1e300 is five characters on its way in, and 301 on its way out.
    CONSTRAINT notifications_data_check CHECK (jsonb_typeof(data) = 'object' AND octet_length(data::text) <= 16384)
);

CREATE INDEX notifications_user_id_id_idx ON notifications (user_id, id) WHERE read_time IS NULL;
CREATE INDEX notifications_read_time_idx ON notifications (read_time) WHERE read_time IS NOT NULL;

GRANT SELECT, INSERT, DELETE ON notifications TO banter_service;
GRANT UPDATE (read_time) ON notifications TO banter_service;

-- The notifications themselves can't tell a replay: their recipients may have deleted them.
CREATE TABLE notification_sends (
    send_key uuid NOT NULL,
    sent_count bigint NOT NULL,
    missed_user_ids uuid[] NOT NULL,
    create_time timestamptz NOT NULL,
    CONSTRAINT notification_sends_pkey PRIMARY KEY (send_key)
);

CREATE INDEX notification_sends_create_time_idx ON notification_sends (create_time);

GRANT SELECT, INSERT, DELETE ON notification_sends TO banter_service;

-- Those of the ids who live, and will until the transaction ends: whoever erases one waits for it. So a batch leaves out
-- the erased instead of failing for all by its foreign key. A function, because locking rows takes the right to change
-- them, which the service has not.
CREATE FUNCTION lock_living_users(user_ids uuid[]) RETURNS SETOF uuid
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT user_id FROM living_users WHERE user_id = ANY(user_ids) ORDER BY user_id FOR KEY SHARE
$$;

REVOKE ALL ON FUNCTION lock_living_users(uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_living_users(uuid[]) TO banter_service;
