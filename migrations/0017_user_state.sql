-- The state of an account as one word.
-- depends: 0016_host_verifications

CREATE FUNCTION user_state(is_active boolean, delete_time timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT CASE WHEN delete_time IS NOT NULL THEN 'deleted' WHEN is_active THEN 'active' ELSE 'deactivated' END $$;
