DROP FUNCTION micros(timestamptz);
DROP FUNCTION clock();
REVOKE USAGE ON SCHEMA public FROM banter_service;
GRANT USAGE ON SCHEMA public TO PUBLIC;
