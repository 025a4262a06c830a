-- Withdrawals: a host's earnings on their way out, and apart from them what is personal about each.
-- depends: 0019_user_words

-- While it is open (pending, approved) its amount is held in the earnings wallet. It ends once, in one of four ways.
CREATE TABLE withdrawals (
    user_id uuid NOT NULL,
    id uuid NOT NULL,
    amount bigint NOT NULL,
    status text NOT NULL DEFAULT 'pending',
    create_time timestamptz NOT NULL,
    reviewer_id uuid,
    review_time timestamptz,
    -- The user who said that it was paid or had failed, or the UUID of the service that did.
    completer_id uuid,
    end_time timestamptz,
    transaction_id uuid,
    CONSTRAINT withdrawals_pkey PRIMARY KEY (user_id, id),
    CONSTRAINT withdrawals_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id),
    CONSTRAINT withdrawals_reviewer_id_fkey FOREIGN KEY (reviewer_id) REFERENCES users (id),
    CONSTRAINT withdrawals_transaction_id_fkey FOREIGN KEY (transaction_id) REFERENCES transactions (id),
    CONSTRAINT withdrawals_amount_check CHECK (amount BETWEEN 1 AND 1000000000),
    CONSTRAINT withdrawals_status_check CHECK (
        status IN ('pending', 'approved', 'paid', 'rejected', 'failed', 'cancelled')
    ),
    -- Staff review all but those that their owner takes back, and never their own.
    CONSTRAINT withdrawals_reviewer_id_check CHECK (
        num_nonnulls(reviewer_id, review_time) = CASE WHEN status IN ('pending', 'cancelled') THEN 0 ELSE 2 END
        AND reviewer_id IS DISTINCT FROM user_id
    ),
    CONSTRAINT withdrawals_completer_id_check CHECK (
        (completer_id IS NOT NULL) = (status IN ('paid', 'failed')) AND completer_id IS DISTINCT FROM user_id
    ),
    CONSTRAINT withdrawals_end_time_check CHECK ((end_time IS NULL) = (status IN ('pending', 'approved'))),
    CONSTRAINT withdrawals_transaction_id_check CHECK ((transaction_id IS NOT NULL) = (status = 'paid'))
);

CREATE INDEX withdrawals_user_id_create_time_idx ON withdrawals (user_id, create_time, id);
CREATE INDEX withdrawals_status_create_time_idx ON withdrawals (status, create_time, id);
CREATE INDEX withdrawals_reviewer_id_idx ON withdrawals (reviewer_id) WHERE reviewer_id IS NOT NULL;
CREATE UNIQUE INDEX withdrawals_transaction_id_key ON withdrawals (transaction_id) WHERE transaction_id IS NOT NULL;

-- Where it is paid to, and what was written about it. It goes with its person; the withdrawal stays.
CREATE TABLE withdrawal_details (
    user_id uuid NOT NULL,
    withdrawal_id uuid NOT NULL,
    method text NOT NULL,
    upi_id text,
    account_holder text,
    account_number text,
    bank_code text,
    -- The reviewer's, for the host.
    note text,
    payout_reference text,
    CONSTRAINT withdrawal_details_pkey PRIMARY KEY (user_id, withdrawal_id),
    CONSTRAINT withdrawal_details_user_id_fkey FOREIGN KEY (user_id) REFERENCES living_users (user_id)
    ON DELETE CASCADE,
    CONSTRAINT withdrawal_details_withdrawal_id_fkey FOREIGN KEY (user_id, withdrawal_id)
    REFERENCES withdrawals (user_id, id),
    CONSTRAINT withdrawal_details_method_check CHECK (
        CASE method
            WHEN 'upi'
                THEN num_nonnulls(upi_id) = 1 AND num_nonnulls(account_holder, account_number, bank_code) = 0
            WHEN 'bank_account'
                THEN num_nonnulls(upi_id) = 0 AND num_nonnulls(account_holder, account_number, bank_code) = 3
            ELSE FALSE
        END
    ),
    CONSTRAINT withdrawal_details_upi_id_check CHECK (char_length(upi_id) BETWEEN 3 AND 255),
    CONSTRAINT withdrawal_details_account_holder_check CHECK (char_length(account_holder) BETWEEN 1 AND 100),
    CONSTRAINT withdrawal_details_account_number_check CHECK (account_number ~ '^[A-Z0-9]{4,34}$'),
    CONSTRAINT withdrawal_details_bank_code_check CHECK (bank_code ~ '^[A-Z0-9]{4,11}$'),
    CONSTRAINT withdrawal_details_note_check CHECK (char_length(note) BETWEEN 1 AND 500),
    CONSTRAINT withdrawal_details_payout_reference_check CHECK (payout_reference ~ '^[!-~]{1,128}$')
);

-- It is reviewed once and ends once; what it is about never changes.
CREATE FUNCTION withdrawals_forward() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION 'a withdrawal is reviewed once and ends once'
        USING ERRCODE = 'check_violation', TABLE = 'withdrawals', CONSTRAINT = 'withdrawals_forward';
END;
$$;

CREATE TRIGGER withdrawals_forward BEFORE UPDATE ON withdrawals
FOR EACH ROW
WHEN (
    (old.status, new.status) NOT IN (
        ('pending', 'approved'), ('pending', 'rejected'), ('pending', 'cancelled'),
        ('approved', 'paid'), ('approved', 'failed')
    )
    OR (new.user_id, new.id, new.amount, new.create_time)
    IS DISTINCT FROM (old.user_id, old.id, old.amount, old.create_time)
    OR (
        old.status = 'approved'
        AND (new.reviewer_id, new.review_time) IS DISTINCT FROM (old.reviewer_id, old.review_time)
    )
)
EXECUTE FUNCTION withdrawals_forward();

CREATE TRIGGER withdrawals_permanent BEFORE DELETE OR TRUNCATE ON withdrawals
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

GRANT SELECT ON withdrawals, withdrawal_details TO banter_service;
-- A withdrawal begins pending: the service can't say otherwise.
GRANT INSERT (user_id, id, amount, create_time) ON withdrawals TO banter_service;
GRANT UPDATE (status, reviewer_id, review_time, completer_id, end_time, transaction_id) ON withdrawals
TO banter_service;
GRANT INSERT (user_id, withdrawal_id, method, upi_id, account_holder, account_number, bank_code) ON withdrawal_details
TO banter_service;
GRANT UPDATE (note, payout_reference) ON withdrawal_details TO banter_service;
