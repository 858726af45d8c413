-- How often a message may have left without an answer, whose account a queue is sent from, and why a queue stands still.

ALTER TABLE recipient
    ADD COLUMN attempts smallint NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    DROP CONSTRAINT failed_has_a_reason,
    ADD CONSTRAINT failed_has_a_reason CHECK (state <> 5 OR error_status IS NOT NULL),
    ADD CONSTRAINT a_reason_is_of_an_end CHECK (error_status IS NULL OR state >= 5);
COMMENT ON COLUMN recipient.attempts     IS 'How often its message may have left and nobody answered; 32767 where it was sent for another account. Without bearing once it is sent.';
COMMENT ON COLUMN recipient.error_status IS 'Why it failed, or is unknown, in the manner of HTTP.';
COMMENT ON COLUMN recipient.error        IS 'Why it failed, or is unknown, in words (no personal data).';

ALTER TABLE queue
    ADD COLUMN account  text CHECK (length(account) BETWEEN 1 AND 32),
    ADD COLUMN waiting  jsonb CHECK (waiting ? 'reason'),
    ADD COLUMN moved_at timestamptz;
COMMENT ON COLUMN queue.account  IS 'The phone number of the account that it is sent from: the session''s when it was accepted, else the first that sends for it. Another one does not send it unless it adopts it.';
COMMENT ON COLUMN queue.waiting  IS 'Why it stands still, where no other column tells: written after about a second, gone when a recipient is settled.';
COMMENT ON COLUMN queue.moved_at IS 'When a recipient of it was last settled, or it went on after a pause.';

UPDATE queue q SET account = split_part(s.jid, '@', 1)
FROM session s WHERE s.id = q.session_id AND q.finished_at IS NULL AND q.started_at IS NOT NULL AND s.jid IS NOT NULL;
