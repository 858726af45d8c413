-- Files of messages that came in.

CREATE TABLE received_media (
    session_id  bigint      NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    message_id  text        NOT NULL CHECK (length(message_id) BETWEEN 1 AND 128),
    chat        text        NOT NULL CHECK (length(chat) BETWEEN 1 AND 128),
    participant text        CHECK (length(participant) BETWEEN 1 AND 128),
    from_me     boolean     NOT NULL,
    kind        smallint    NOT NULL CHECK (kind BETWEEN 0 AND 3),
    mimetype    text        NOT NULL CHECK (length(mimetype) BETWEEN 1 AND 255),
    file_name   text        CHECK (length(file_name) BETWEEN 1 AND 255),
    length      bigint      CHECK (length >= 0),
    media_key   bytea       NOT NULL CHECK (length(media_key) = 32),
    sha256      bytea       NOT NULL CHECK (length(sha256) = 32),
    enc_sha256  bytea       NOT NULL CHECK (length(enc_sha256) = 32),
    direct_path text        NOT NULL CHECK (length(direct_path) BETWEEN 1 AND 4096),
    received_at timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (session_id, message_id, chat)
);
CREATE INDEX received_media_expires ON received_media (expires_at);
COMMENT ON TABLE  received_media             IS 'One row per message with a file that came in, or that another device of the account sent: where the file is at the media hosts, and what opens it. The file itself is not stored. Written with the event that tells of the message.';
COMMENT ON COLUMN received_media.session_id  IS 'The session.';
COMMENT ON COLUMN received_media.message_id  IS 'The id of the message.';
COMMENT ON COLUMN received_media.chat        IS 'The chat, as the message named it: WhatsApp is asked by it.';
COMMENT ON COLUMN received_media.participant IS 'Who sent it, in a group.';
COMMENT ON COLUMN received_media.from_me     IS 'Another device of the account sent it.';
COMMENT ON COLUMN received_media.kind        IS 'What its keys are derived for: 0 image, 1 video, 2 audio, 3 document.';
COMMENT ON COLUMN received_media.mimetype    IS 'Its type, as its sender says.';
COMMENT ON COLUMN received_media.file_name   IS 'Its name, as its sender says.';
COMMENT ON COLUMN received_media.length      IS 'The length of what it says, in bytes, as its sender says.';
COMMENT ON COLUMN received_media.media_key   IS 'Its key.';
COMMENT ON COLUMN received_media.sha256      IS 'SHA-256 of what it says.';
COMMENT ON COLUMN received_media.enc_sha256  IS 'SHA-256 of the encrypted file.';
COMMENT ON COLUMN received_media.direct_path IS 'Where it is at any media host; another one when the phone has uploaded it again.';
COMMENT ON COLUMN received_media.received_at IS 'When it came.';
COMMENT ON COLUMN received_media.expires_at  IS 'When this row goes (KEEP_MEDIA_DAYS).';
