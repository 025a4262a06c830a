DROP TABLE transaction_notes;
