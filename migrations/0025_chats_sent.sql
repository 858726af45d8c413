-- Chats that only Fanfare wrote to are listed too, and recipients are found by all that they go by.

CREATE TABLE chat_cleared (
    session_id bigint      NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    jid        text        NOT NULL CHECK (length(jid) BETWEEN 1 AND 128),
    at         timestamptz NOT NULL,
    PRIMARY KEY (session_id, jid)
);
COMMENT ON TABLE  chat_cleared            IS 'One row per deleted chat that Fanfare had written to: what was asked for until then lists it no more. Goes when no recipient has its name any more.';
COMMENT ON COLUMN chat_cleared.session_id IS 'Whose.';
COMMENT ON COLUMN chat_cleared.jid        IS 'The other side, or the group.';
COMMENT ON COLUMN chat_cleared.at         IS 'When it was deleted.';

-- Recipients that have no message are found by whom they are for. None that is sent without trouble is in either index at any
-- time, so that neither costs a send anything.
CREATE INDEX recipient_unsent ON recipient (session_id, coalesce(addressee, number))
    WHERE stanza_id IS NULL AND (error_status IS NOT NULL OR addressee IS NOT NULL);
CREATE INDEX recipient_other_name ON recipient (session_id, number) WHERE addressee IS NOT NULL;

-- Those that are the account of another recipient name that account from now on.
UPDATE recipient SET addressee = number WHERE state = 8 AND addressee IS NULL;

COMMENT ON COLUMN message.at         IS 'When it was sent: the second that WhatsApp tells, and of that second the part at which it came in, so that messages of one second are in the order of their coming.';
COMMENT ON COLUMN message.target     IS 'Of a reaction, and of a change that came before what it changes: the message that it is to.';
COMMENT ON COLUMN message.sender     IS 'Who wrote it, in a group; empty elsewhere. Of a change that anybody''s message takes: *.';
COMMENT ON COLUMN message.edited_at  IS 'When its sender changed it last. With a target: this is such a change.';
COMMENT ON COLUMN message.deleted_at IS 'When it was deleted for everyone. With a target: this is such a deletion.';
