DROP FUNCTION purge_idempotency_keys(integer);
DROP TABLE signup_grants;
DROP TABLE payments;
DROP TABLE idempotency_keys;
