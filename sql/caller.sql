-- Who calls: what the server needs to know of a caller before it lets him in.

-- name: find_caller_by_user_id :one
-- Role and state of an account. No row: there is no such user, or no more.
-- row: caller
-- index: users_pkey
-- not null: user_id, role, is_active
SELECT
    id::text AS user_id,
    role,
    is_active
FROM users
WHERE
    id = $user_id::uuid
    AND delete_time IS NULL;

-- name: find_caller_by_firebase_uid :one
-- Role and state of the account that a Firebase subject is linked to. No row: none is.
-- row: caller
-- index: users_firebase_uid_key
-- not null: user_id, role, is_active
SELECT
    id::text AS user_id,
    role,
    is_active
FROM users
WHERE firebase_uid = $firebase_uid::text;
