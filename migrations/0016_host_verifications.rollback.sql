DROP TABLE host_verifications;
