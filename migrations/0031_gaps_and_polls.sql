-- Whose gap it is that a session waits out: that of a queue that is deleted holds no other, also after a restart.

ALTER TABLE session ADD COLUMN paced_by uuid;
COMMENT ON COLUMN session.paced_by IS 'The queue of the last send that had a gap behind it: while next_send_at is to come, it was drawn for this queue.';

-- Polls that came in, as far as it takes to vote in them.

CREATE TABLE received_poll (
    session_id  bigint      NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    message_id  text        NOT NULL CHECK (length(message_id) BETWEEN 1 AND 128),
    chat        text        NOT NULL CHECK (length(chat) BETWEEN 1 AND 128),
    creator     text        NOT NULL CHECK (length(creator) BETWEEN 1 AND 128),
    secret      bytea       NOT NULL CHECK (length(secret) = 32),
    options     jsonb       NOT NULL,
    selectable  integer     NOT NULL CHECK (selectable >= 0),
    received_at timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (session_id, message_id, chat)
);
CREATE INDEX received_poll_expires ON received_poll (expires_at);
COMMENT ON TABLE  received_poll             IS 'One row per poll that came in, or that another device of the account sent. Written with the event that tells of the message.';
COMMENT ON COLUMN received_poll.session_id  IS 'The session.';
COMMENT ON COLUMN received_poll.message_id  IS 'The id of the message.';
COMMENT ON COLUMN received_poll.chat        IS 'The chat, as the message named it.';
COMMENT ON COLUMN received_poll.creator     IS 'Who made it, as the message named them: votes are sealed for this name.';
COMMENT ON COLUMN received_poll.secret      IS 'What the keys of its votes are made of.';
COMMENT ON COLUMN received_poll.options     IS 'The texts of its options, in their order.';
COMMENT ON COLUMN received_poll.selectable  IS 'How many of them one may choose; 0 is any number.';
COMMENT ON COLUMN received_poll.received_at IS 'When it came.';
COMMENT ON COLUMN received_poll.expires_at  IS 'When this row goes (KEEP_MEDIA_DAYS).';

-- Votes that are sent, sealed.

CREATE TABLE queue_vote (
    queue_id uuid  PRIMARY KEY REFERENCES queue (id) ON DELETE CASCADE,
    iv       bytea NOT NULL CHECK (length(iv) = 12),
    payload  bytea NOT NULL CHECK (length(payload) BETWEEN 1 AND 65536)
);
COMMENT ON TABLE  queue_vote          IS 'One row per queue that votes in a poll: who asks for the message again gets the same one. Written by the owner of the session''s shard before it is sent; it goes with its queue.';
COMMENT ON COLUMN queue_vote.queue_id IS 'The queue.';
COMMENT ON COLUMN queue_vote.iv       IS 'The vector that it is sealed with.';
COMMENT ON COLUMN queue_vote.payload  IS 'What is chosen, sealed.';

-- What the file store calls a file that has not come as a whole: by that it is given up where its process was killed.

ALTER TABLE media ADD COLUMN upload text CHECK (length(upload) BETWEEN 1 AND 4096);
COMMENT ON COLUMN media.upload IS 'What a bucket calls the file until it has come as a whole.';
