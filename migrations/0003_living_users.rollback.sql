DROP TRIGGER users_live ON users;
DROP TRIGGER users_die ON users;
DROP FUNCTION users_live();
DROP FUNCTION users_die();
DROP TABLE living_users;
