DROP FUNCTION user_state(boolean, timestamptz);
