-- Keys that every server process shares: made by the first one that needs them.
-- depends: 0003_living_users

CREATE TABLE signing_keys (
    purpose text NOT NULL,
    secret bytea NOT NULL,
    create_time timestamptz NOT NULL,
    CONSTRAINT signing_keys_pkey PRIMARY KEY (purpose),
    CONSTRAINT signing_keys_secret_check CHECK (octet_length(secret) >= 32)
);

GRANT SELECT, INSERT ON signing_keys TO banter_service;
