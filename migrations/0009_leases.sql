-- What one process at a time does, of all processes of this database: who does it, and until when.
-- depends: 0008_idempotency

CREATE TABLE leases (
    name text NOT NULL,
    holder uuid NOT NULL,
    instance text NOT NULL,
    acquire_time timestamptz NOT NULL,
    expire_time timestamptz NOT NULL,
    CONSTRAINT leases_pkey PRIMARY KEY (name)
);

GRANT SELECT, INSERT, UPDATE ON leases TO banter_service;
