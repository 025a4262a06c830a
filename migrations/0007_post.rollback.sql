DROP FUNCTION post(uuid, text, uuid, uuid, uuid, leg[]);
DROP FUNCTION entry_hash(bytea, bytea, uuid, text);
DROP FUNCTION leg_bytes(uuid, text, bigint, bigint, bigint);
DROP FUNCTION transaction_digest(transactions, bytea);
DROP TYPE leg;
