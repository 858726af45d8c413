-- Polls: what opens their votes. A vote names its poll as a reaction names its message; those from before this stay as they are.

ALTER TABLE message ADD COLUMN secret bytea CHECK (length(secret) = 32);
COMMENT ON COLUMN message.secret IS 'Of a poll: the secret from which the keys of its votes are made. Of those that Fanfare sent it is derived, and stands nowhere.';
COMMENT ON COLUMN message.target IS 'Of a reaction, a vote in a poll, and a change that came before what it changes: the message that it is to.';
