-- The lease of what one process at a time does.

-- name: take_lease :exec
-- Take a lease that is free or has expired, or prolong one's own, by so many seconds from now. 0: another holds it.
-- However many try at once, one gets it; who only looks at one that is held writes nothing.
-- repeatable: its holder takes it again
INSERT INTO leases (name, holder, instance, acquire_time, expire_time)
SELECT
    $name::text,
    $holder::uuid,
    $instance::text,
    clock(),
    clock() + make_interval(secs => $seconds::float8)
WHERE
    NOT EXISTS (
        SELECT FROM leases AS held
        WHERE
            held.name = $name::text
            AND held.holder <> $holder::uuid
            AND held.expire_time > clock()
    )
ON CONFLICT (name) DO UPDATE
    SET
        holder = excluded.holder,
        instance = excluded.instance,
        acquire_time = CASE
            WHEN leases.holder = excluded.holder AND leases.expire_time > excluded.acquire_time THEN leases.acquire_time
            ELSE excluded.acquire_time
        END,
        expire_time = excluded.expire_time
    WHERE leases.holder = excluded.holder OR leases.expire_time <= excluded.acquire_time;

-- name: release_lease :exec
-- Let a lease go that one holds. 0: it is another's, or nobody's.
-- index: leases_pkey
-- repeatable: what is free stays free
UPDATE leases
SET expire_time = clock()
WHERE
    name = $name::text
    AND holder = $holder::uuid
    AND expire_time > clock();
