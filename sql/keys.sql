-- Keys that every server process shares.

-- name: insert_signing_key :exec
-- A key for a purpose that has none yet. However many processes start at once, one of their keys stays.
-- repeatable: the first one stays
INSERT INTO signing_keys (purpose, secret, create_time)
SELECT
    $purpose::text,
    decode($secret::text, 'hex'),
    clock()
ON CONFLICT (purpose) DO NOTHING;

-- name: get_signing_key :one
-- The key of a purpose. No row: it was never made.
-- index: signing_keys_pkey
-- not null: secret
SELECT secret
FROM signing_keys
WHERE purpose = $purpose::text;
