-- Why staff moved coins of somebody, in their words: free text goes with the person, the movement stays.
-- depends: 0023_refunds

CREATE TABLE transaction_notes (
    user_id uuid NOT NULL,
    transaction_id uuid NOT NULL,
    note text NOT NULL,
    CONSTRAINT transaction_notes_pkey PRIMARY KEY (user_id, transaction_id),
    CONSTRAINT transaction_notes_user_id_fkey FOREIGN KEY (user_id) REFERENCES living_users (user_id) ON DELETE CASCADE,
    CONSTRAINT transaction_notes_transaction_id_fkey FOREIGN KEY (transaction_id) REFERENCES transactions (id),
    CONSTRAINT transaction_notes_note_check CHECK (char_length(note) BETWEEN 1 AND 500)
);

CREATE INDEX transaction_notes_transaction_id_idx ON transaction_notes (transaction_id);

GRANT SELECT, INSERT ON transaction_notes TO banter_service;
