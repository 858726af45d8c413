-- What came in: chats, who wrote, and messages.

CREATE TABLE chat (
    session_id   bigint      NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    jid          text        NOT NULL CHECK (length(jid) BETWEEN 1 AND 128),
    lid          text        CHECK (length(lid) BETWEEN 1 AND 128),
    name         text        CHECK (length(name) <= 256),
    unread       integer     NOT NULL DEFAULT 0 CHECK (unread >= 0),
    answered_at  timestamptz,
    last_at      timestamptz NOT NULL,
    last_id      text        NOT NULL CHECK (length(last_id) BETWEEN 1 AND 128),
    last_from_me boolean     NOT NULL,
    last_sender  text        NOT NULL CHECK (length(last_sender) <= 128),
    last_kind    text        NOT NULL CHECK (length(last_kind) BETWEEN 1 AND 64),
    last_text    text        CHECK (length(last_text) <= 200),
    PRIMARY KEY (session_id, jid)
) WITH (fillfactor = 70);
CREATE INDEX chat_listed ON chat (session_id, last_at DESC, jid DESC);
COMMENT ON TABLE  chat              IS 'One row per chat in which something came in. Written by the owner of the session''s shard, with the message that it shows last.';
COMMENT ON COLUMN chat.session_id   IS 'Whose.';
COMMENT ON COLUMN chat.jid          IS 'The other side, by number where that is known, or the group.';
COMMENT ON COLUMN chat.lid          IS 'The other side''s hidden id, where it is known beside the number.';
COMMENT ON COLUMN chat.name         IS 'What the chat is called, where it has a name of its own.';
COMMENT ON COLUMN chat.unread       IS 'Messages that came in since the account last wrote or read there, on any of its devices.';
COMMENT ON COLUMN chat.answered_at  IS 'When the account last wrote there on another device.';
COMMENT ON COLUMN chat.last_at      IS 'When its newest message was sent; what Fanfare sends does not move it.';
COMMENT ON COLUMN chat.last_id      IS 'That message''s id.';
COMMENT ON COLUMN chat.last_from_me IS 'Whether the account wrote it.';
COMMENT ON COLUMN chat.last_sender  IS 'Who wrote it, in a group; empty elsewhere.';
COMMENT ON COLUMN chat.last_kind    IS 'Its kind, as events tell it.';
COMMENT ON COLUMN chat.last_text    IS 'The first 200 characters of its words.';

CREATE TABLE contact (
    session_id bigint NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    jid        text   NOT NULL CHECK (length(jid) BETWEEN 1 AND 128),
    lid        text   CHECK (length(lid) BETWEEN 1 AND 128),
    name       text   CHECK (length(name) <= 256),
    PRIMARY KEY (session_id, jid)
) WITH (fillfactor = 70);
COMMENT ON TABLE  contact            IS 'One row per person who wrote to the account, in a chat or a group.';
COMMENT ON COLUMN contact.session_id IS 'Whose.';
COMMENT ON COLUMN contact.jid        IS 'The person, by number where that is known.';
COMMENT ON COLUMN contact.lid        IS 'Their hidden id, where it is known beside the number.';
COMMENT ON COLUMN contact.name       IS 'The name that they go by.';

-- session_id is no declared reference, as that of recipients is none: to check it costs each message a lock. Messages go
-- with their session piece by piece.
CREATE TABLE message (
    session_id bigint      NOT NULL,
    chat       text        NOT NULL CHECK (length(chat) BETWEEN 1 AND 128),
    id         text        NOT NULL CHECK (length(id) BETWEEN 1 AND 128),
    from_me    boolean     NOT NULL,
    sender     text        NOT NULL CHECK (length(sender) <= 128),
    at         timestamptz NOT NULL,
    push_name  text        CHECK (length(push_name) <= 256),
    kind       text        NOT NULL CHECK (length(kind) BETWEEN 1 AND 64),
    body       text,
    said       text,
    words      tsvector,
    target     text        CHECK (length(target) BETWEEN 1 AND 128),
    edited_at  timestamptz,
    deleted_at timestamptz,
    PRIMARY KEY (session_id, chat, id, from_me, sender)
);
CREATE INDEX message_listed ON message (session_id, chat, at DESC, id DESC) WHERE target IS NULL;
CREATE INDEX message_age ON message (session_id, at, id);
CREATE INDEX message_target ON message (session_id, chat, target) WHERE target IS NOT NULL;
CREATE INDEX message_words ON message USING gin (words);
COMMENT ON TABLE  message            IS 'One row per message that came in, or was written on another device of the account. What Fanfare sends is in recipient.';
COMMENT ON COLUMN message.session_id IS 'Whose.';
COMMENT ON COLUMN message.chat       IS 'The chat''s jid.';
COMMENT ON COLUMN message.id         IS 'The message''s id.';
COMMENT ON COLUMN message.from_me    IS 'Whether the account wrote it.';
COMMENT ON COLUMN message.sender     IS 'Who wrote it, in a group; empty elsewhere.';
COMMENT ON COLUMN message.at         IS 'When it was sent.';
COMMENT ON COLUMN message.push_name  IS 'The name that its sender went by.';
COMMENT ON COLUMN message.kind       IS 'Its kind, as events tell it.';
COMMENT ON COLUMN message.body       IS 'What events tell of it, as JSON; null when it was deleted for everyone or is larger than may be stored.';
COMMENT ON COLUMN message.said       IS 'Its words: a text, a caption, a name. Of a reaction the emoji.';
COMMENT ON COLUMN message.words      IS 'The same word by word, each behind the session''s number, so that the index knows sessions apart.';
COMMENT ON COLUMN message.target     IS 'Of a reaction: the message that it is to.';
COMMENT ON COLUMN message.edited_at  IS 'When its sender changed it last.';
COMMENT ON COLUMN message.deleted_at IS 'When it was deleted for everyone.';

-- What Fanfare sent into a chat is found by whom it went to. Only the write that gives a recipient its message adds to this
-- index, and no state after that.
CREATE INDEX recipient_chat ON recipient (session_id, coalesce(addressee, number)) WHERE stanza_id IS NOT NULL;
