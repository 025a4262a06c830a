-- Who was seen when: the queries of presence.

-- name: insert_heartbeat :exec
-- A user was seen now. Who was seen less than `seconds` ago is left as he is, and not even locked: `fresh` leaves
-- him out. Of many at once the second check, behind the row's lock, lets one write. What they compare is the time of
-- their own statements, so that last_seen only grows.
-- repeatable: seen is seen
-- index: presence_pkey, living_users_pkey
WITH fresh AS (
    SELECT user_id
    FROM presence
    WHERE
        user_id = $user_id::uuid
        AND last_seen > clock() - $seconds::bigint * interval '1 second'
)

INSERT INTO presence (user_id, last_seen)
SELECT
    user_id,
    clock()
FROM living_users
WHERE
    user_id = $user_id::uuid
    AND user_id NOT IN (SELECT fresh.user_id FROM fresh)
ON CONFLICT (user_id) DO UPDATE
    SET last_seen = excluded.last_seen
    WHERE presence.last_seen <= excluded.last_seen - $seconds::bigint * interval '1 second';

-- name: mark_host_seen :exec
-- Lists a host among those that were seen lately; most often he is, or is no host, and nothing is written. It follows
-- the heartbeat as a statement of its own: one that waited for the job that clears the mark has to see it cleared.
-- repeatable: marked is marked
-- index: hosts_pkey
UPDATE hosts
SET seen_lately = TRUE
WHERE
    user_id = $user_id::uuid
    AND NOT seen_lately;
