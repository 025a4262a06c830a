ALTER TABLE wallets DROP CONSTRAINT wallets_head_version_fkey;
DROP TABLE earnings;
DROP TABLE entries;
DROP TABLE transactions;
DROP TABLE wallets;
