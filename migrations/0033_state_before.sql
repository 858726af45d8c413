-- What a recipient was before its last change: whoever counts what settled need not look each of them up twice.

ALTER TABLE recipient ADD COLUMN state_before smallint;
COMMENT ON COLUMN recipient.state_before IS 'The state that it had before its last change; null before the first.';
