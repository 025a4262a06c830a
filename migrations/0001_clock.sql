-- The schema's rights, the one clock that every query reads, and the form in which times leave the database.
-- depends:

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO banter_service;

-- Time of the statement that acts: after waiting for a lock, now() is in the past. Tests replace this function.
CREATE FUNCTION clock() RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT statement_timestamp() $$;

-- Microseconds since 1970-01-01 UTC: an int8 costs a client a tenth of what a timestamp costs it.
CREATE FUNCTION micros(at timestamptz) RETURNS bigint
LANGUAGE sql STABLE STRICT PARALLEL SAFE
AS $$ SELECT (extract(EPOCH FROM at) * 1000000)::bigint $$;
