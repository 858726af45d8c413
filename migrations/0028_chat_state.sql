-- What the account's devices agree on about chats and people: the app state.

-- A table of its own: a chat has a state also where nothing came in yet, and a message that comes in writes nothing here.
CREATE TABLE chat_state (
    session_id    bigint      NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    jid           text        NOT NULL CHECK (length(jid) BETWEEN 1 AND 128),
    archived      boolean     NOT NULL DEFAULT false,
    pinned_at     timestamptz,
    muted         boolean     NOT NULL DEFAULT false,
    muted_until   timestamptz,
    marked_unread boolean     NOT NULL DEFAULT false,
    cleared_at    timestamptz,
    PRIMARY KEY (session_id, jid)
) WITH (fillfactor = 70);
COMMENT ON TABLE  chat_state               IS 'One row per chat that a device of the account archived, pinned, muted, marked or cleared. Written by the owner of the session''s shard, with the event that tells of it.';
COMMENT ON COLUMN chat_state.session_id    IS 'Whose.';
COMMENT ON COLUMN chat_state.jid           IS 'The other side, by number where that is known, or the group.';
COMMENT ON COLUMN chat_state.archived      IS 'Whether it is in the archive.';
COMMENT ON COLUMN chat_state.pinned_at     IS 'When it was pinned above the others; null where it is not.';
COMMENT ON COLUMN chat_state.muted         IS 'Whether it makes no sound.';
COMMENT ON COLUMN chat_state.muted_until   IS 'Until when it makes none; null for good.';
COMMENT ON COLUMN chat_state.marked_unread IS 'Whether somebody marked it as unread, to look at it again.';
COMMENT ON COLUMN chat_state.cleared_at    IS 'Messages of until then were deleted on a device of the account: they are not shown, and go when they are old.';

ALTER TABLE contact ADD COLUMN saved_name text CHECK (length(saved_name) <= 256);
COMMENT ON COLUMN contact.saved_name IS 'What the account''s address book calls the person: it is shown before the name that they go by.';
COMMENT ON TABLE  contact            IS 'One row per person who wrote to the account, in a chat or a group, or who is in its address book.';
