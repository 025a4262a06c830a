-- When a user was last seen. Online is derived from it, so that no crash leaves anyone online.
-- depends: 0012_activity_tallies

-- It changes with every heartbeat: narrow, without another index, and with room on each page for the new row.
CREATE TABLE presence (
    user_id uuid NOT NULL,
    last_seen timestamptz NOT NULL,
    CONSTRAINT presence_pkey PRIMARY KEY (user_id),
    CONSTRAINT presence_user_id_fkey FOREIGN KEY (user_id) REFERENCES living_users (user_id) ON DELETE CASCADE
) WITH (fillfactor = 70);

GRANT SELECT, INSERT, UPDATE ON presence TO banter_service;
