-- Who lives. A row that goes when its person is erased refers to living_users, one that stays refers to users.
-- depends: 0002_users

CREATE TABLE living_users (
    user_id uuid NOT NULL,
    CONSTRAINT living_users_pkey PRIMARY KEY (user_id),
    CONSTRAINT living_users_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id)
);

INSERT INTO living_users (user_id)
SELECT id FROM users
WHERE delete_time IS NULL;

GRANT SELECT ON living_users TO banter_service;

-- Only these two triggers write living_users, so that it always says what users.delete_time says. A person's data refers
-- to it with ON DELETE CASCADE: erasing the person takes all of it along, whoever is writing more of it at that moment
-- is waited for, and whoever comes later finds no one to refer to.
CREATE FUNCTION users_live() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    INSERT INTO living_users (user_id) SELECT id FROM made WHERE delete_time IS NULL;
    RETURN NULL;
END;
$$;

CREATE FUNCTION users_die() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    DELETE FROM living_users WHERE user_id = new.id;
    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION users_live(), users_die() FROM PUBLIC;

CREATE TRIGGER users_live
AFTER INSERT ON users
REFERENCING NEW TABLE AS made
FOR EACH STATEMENT
EXECUTE FUNCTION users_live();

CREATE TRIGGER users_die
AFTER UPDATE OF delete_time ON users
FOR EACH ROW
WHEN (old.delete_time IS NULL AND new.delete_time IS NOT NULL)
EXECUTE FUNCTION users_die();
