-- Labels of accounts and what has them; what a session does with calls; group messages by hidden senders.

CREATE TABLE label (
    session_id    bigint  NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    id            text    NOT NULL CHECK (length(id) BETWEEN 1 AND 128),
    name          text    NOT NULL CHECK (length(name) <= 256),
    color         integer NOT NULL,
    predefined_id integer,
    PRIMARY KEY (session_id, id)
) WITH (fillfactor = 70);
COMMENT ON TABLE  label               IS 'One row per label of an account. Written by the owner of the session''s shard, with the event that tells of it.';
COMMENT ON COLUMN label.session_id    IS 'Whose.';
COMMENT ON COLUMN label.id            IS 'Its id, as the account''s devices count them.';
COMMENT ON COLUMN label.name          IS 'What it says.';
COMMENT ON COLUMN label.color         IS 'The number of its colour, as WhatsApp counts them.';
COMMENT ON COLUMN label.predefined_id IS 'The number of the label that WhatsApp gives everybody, if it is one of those.';

-- What has a label may be told before the label itself: so it is no reference.
CREATE TABLE label_given (
    session_id bigint NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    jid        text   NOT NULL CHECK (length(jid) BETWEEN 1 AND 128),
    message_id text   NOT NULL CHECK (length(message_id) <= 128),
    label_id   text   NOT NULL CHECK (length(label_id) BETWEEN 1 AND 128),
    PRIMARY KEY (session_id, jid, message_id, label_id)
);
CREATE INDEX label_given_listed ON label_given (session_id, label_id, jid, message_id);
COMMENT ON TABLE  label_given            IS 'One row per chat or message that has a label. It goes with its label.';
COMMENT ON COLUMN label_given.session_id IS 'Whose.';
COMMENT ON COLUMN label_given.jid        IS 'The chat: the other side, by number where that is known, or the group.';
COMMENT ON COLUMN label_given.message_id IS 'The message that has it; empty where the chat has.';
COMMENT ON COLUMN label_given.label_id   IS 'The label.';

ALTER TABLE session ADD COLUMN calls smallint NOT NULL DEFAULT 1 CHECK (calls BETWEEN 1 AND 2);
COMMENT ON COLUMN session.calls IS 'What it does with calls: 1 lets them ring, 2 rejects them.';

-- What somebody wrote in groups while only their hidden id was known is found when the number is. Few messages are in this index:
-- those of senders whose number is known are not.
CREATE INDEX message_hidden ON message (session_id, sender, at) WHERE sender LIKE '%@lid';
