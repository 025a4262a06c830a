-- What keeps the ledger true against everybody, its own service included.
-- depends: 0005_ledger

CREATE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', tg_table_name
        USING ERRCODE = 'restrict_violation', TABLE = tg_table_name, CONSTRAINT = tg_table_name || '_append_only';
END;
$$;

CREATE TRIGGER transactions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON transactions
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entries
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER earnings_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON earnings
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER wallets_permanent BEFORE DELETE OR TRUNCATE ON wallets
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- All legs of a transaction come in one INSERT, sum to zero, and move its total.
CREATE FUNCTION entries_balance() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (
            SELECT
                made.transaction_id,
                sum(made.amount) AS rest,
                sum(made.amount) FILTER (WHERE made.amount > 0) AS moved,
                count(*) AS legs
            FROM made
            GROUP BY made.transaction_id
        ) AS posted
        WHERE
            posted.rest <> 0
            -- Row by row, whatever the statistics say of a table that has just grown.
            OR posted.moved <> (SELECT total FROM transactions WHERE id = posted.transaction_id)
            OR posted.legs <> (
                SELECT count(*) FROM entries WHERE entries.transaction_id = posted.transaction_id
            )
    ) THEN
        RAISE EXCEPTION 'the legs of a transaction are all there at once, sum to zero and move its total'
            USING ERRCODE = 'check_violation', TABLE = 'entries', CONSTRAINT = 'entries_balance';
    END IF;
    RETURN NULL;
END;
$$;

CREATE TRIGGER entries_balance AFTER INSERT ON entries
REFERENCING NEW TABLE AS made
FOR EACH STATEMENT EXECUTE FUNCTION entries_balance();

-- A wallet never goes back to what an earlier entry said.
CREATE FUNCTION wallets_forward() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'a wallet never goes back'
        USING ERRCODE = 'check_violation', TABLE = 'wallets', CONSTRAINT = 'wallets_forward';
END;
$$;

CREATE TRIGGER wallets_forward BEFORE UPDATE ON wallets
FOR EACH ROW
WHEN (new.version < old.version OR (new.user_id, new.kind) IS DISTINCT FROM (old.user_id, old.kind))
EXECUTE FUNCTION wallets_forward();

-- Everybody has both wallets from the moment he is there.
CREATE FUNCTION users_wallets() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    INSERT INTO wallets (user_id, kind)
    SELECT made.id, kinds.kind FROM made CROSS JOIN (VALUES ('coins'), ('earnings')) AS kinds (kind);
    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION users_wallets() FROM PUBLIC;

CREATE TRIGGER users_wallets AFTER INSERT ON users
REFERENCING NEW TABLE AS made
FOR EACH STATEMENT EXECUTE FUNCTION users_wallets();

INSERT INTO wallets (user_id, kind)
SELECT
    users.id,
    kinds.kind
FROM users
CROSS JOIN (VALUES ('coins'), ('earnings')) AS kinds (kind);
