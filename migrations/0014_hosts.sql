-- What discovery needs to know of a host: a row for each user whose host verification was approved.
-- depends: 0013_presence

CREATE TABLE hosts (
    user_id uuid NOT NULL,
    rating_sum bigint NOT NULL DEFAULT 0,
    rating_count bigint NOT NULL DEFAULT 0,
    -- Hundredths of a star, 0 without ratings.
    rating bigint NOT NULL GENERATED ALWAYS AS (
        CASE WHEN rating_count > 0 THEN (rating_sum * 100 + rating_count / 2) / rating_count ELSE 0 END
    ) STORED,
    -- Always true of a host who was seen within the last hour, and soon false of the others: a job clears it.
    seen_lately boolean NOT NULL DEFAULT TRUE,
    create_time timestamptz NOT NULL,
    CONSTRAINT hosts_pkey PRIMARY KEY (user_id),
    CONSTRAINT hosts_user_id_fkey FOREIGN KEY (user_id) REFERENCES living_users (user_id) ON DELETE CASCADE,
    CONSTRAINT hosts_rating_sum_rating_count_check CHECK (
        rating_count >= 0 AND rating_sum BETWEEN rating_count AND 5 * rating_count
    )
);

-- Read backwards, both of them: the best first, and of equals the newest.
CREATE INDEX hosts_rating_user_id_idx ON hosts (rating, user_id);
CREATE INDEX hosts_seen_lately_rating_user_id_idx ON hosts (rating, user_id) WHERE seen_lately;

GRANT SELECT, INSERT, UPDATE ON hosts TO banter_service;
