DROP VIEW profiles;
DROP TABLE users;
DROP FUNCTION users_notify();
