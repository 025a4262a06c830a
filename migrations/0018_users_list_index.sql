-- What staff filter accounts by, newest first: each combination is one range, however rare it is.
-- depends: 0017_user_state
-- transactional: false

CREATE INDEX CONCURRENTLY IF NOT EXISTS users_role_host_status_create_time_id_idx
ON users (role, host_status, user_state(is_active, delete_time), create_time, id);
