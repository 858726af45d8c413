-- What callers call their queues and recipients by, and recipients who turn out to be one account.

ALTER TABLE queue
    ADD COLUMN duplicates smallint NOT NULL DEFAULT 0 CHECK (duplicates IN (0, 1)),
    ADD COLUMN reference  text     CHECK (length(reference) BETWEEN 1 AND 128),
    ADD COLUMN label      text     CHECK (length(label) BETWEEN 1 AND 64);
CREATE INDEX queue_labelled ON queue (session_id, label, created_at DESC, id DESC) WHERE label IS NOT NULL;
COMMENT ON COLUMN queue.duplicates IS 'A recipient whose account is that of another: 0 gets nothing, 1 gets its message all the same.';
COMMENT ON COLUMN queue.reference  IS 'What the caller calls it by.';
COMMENT ON COLUMN queue.label      IS 'What it is for; queues are listed by it.';

ALTER TABLE recipient
    ADD COLUMN reference text CHECK (length(reference) BETWEEN 1 AND 128),
    ADD COLUMN addressee text CHECK (length(addressee) BETWEEN 1 AND 64),
    DROP CONSTRAINT recipient_state_check;
-- Every row fits, since the rule before was narrower: nobody has to look at them.
ALTER TABLE recipient ADD CONSTRAINT recipient_state_check CHECK (state BETWEEN 0 AND 8) NOT VALID;
COMMENT ON COLUMN recipient.reference IS 'What the caller calls them by.';
COMMENT ON COLUMN recipient.addressee IS 'The number that the account goes by, where WhatsApp said another one than number; set when it is sent to.';
COMMENT ON COLUMN recipient.state     IS '0 queued → 1 sending → 2 sent → 3 delivered → 4 read, or 5 failed, 6 skipped, 7 unknown, 8 duplicate (another recipient of the queue is the same account). In a deleted queue, queued reads as skipped.';
