-- Who asked to become a host, and what came of it. users.host_status is the summary, set in the same unit.
-- depends: 0015_profiles

CREATE TABLE host_verifications (
    user_id uuid NOT NULL,
    id uuid NOT NULL,
    status text NOT NULL,
    note text,
    reviewer_id uuid,
    review_note text,
    create_time timestamptz NOT NULL,
    review_time timestamptz,
    CONSTRAINT host_verifications_pkey PRIMARY KEY (user_id, id),
    CONSTRAINT host_verifications_user_id_fkey
    FOREIGN KEY (user_id) REFERENCES living_users (user_id) ON DELETE CASCADE,
    CONSTRAINT host_verifications_reviewer_id_fkey FOREIGN KEY (reviewer_id) REFERENCES users (id),
    CONSTRAINT host_verifications_status_check CHECK (status IN ('pending', 'approved', 'rejected')),
    CONSTRAINT host_verifications_note_check CHECK (char_length(note) <= 1000),
    CONSTRAINT host_verifications_review_note_check CHECK (char_length(review_note) <= 1000),
    -- A decision has its reviewer and its time, and nobody reviews his own.
    CONSTRAINT host_verifications_reviewer_id_review_time_check CHECK (
        CASE
            WHEN status = 'pending' THEN num_nonnulls(reviewer_id, review_note, review_time) = 0
            ELSE num_nulls(reviewer_id, review_time) = 0 AND reviewer_id <> user_id
        END
    )
);

CREATE UNIQUE INDEX host_verifications_user_id_key ON host_verifications (user_id) WHERE status = 'pending';
CREATE INDEX host_verifications_reviewer_id_idx ON host_verifications (reviewer_id);

GRANT SELECT, INSERT, UPDATE ON host_verifications TO banter_service;
