-- Files that the messages of queues carry.

CREATE TABLE queue_upload (
    queue_id    uuid        NOT NULL REFERENCES queue (id) ON DELETE CASCADE,
    uploaded_at timestamptz NOT NULL,
    mimetype    text        NOT NULL CHECK (length(mimetype) BETWEEN 1 AND 255),
    as_document boolean     NOT NULL,
    length      bigint      NOT NULL CHECK (length >= 0),
    media_key   bytea       NOT NULL CHECK (length(media_key) = 32),
    sha256      bytea       NOT NULL CHECK (length(sha256) = 32),
    enc_sha256  bytea       NOT NULL CHECK (length(enc_sha256) = 32),
    direct_path text        NOT NULL CHECK (length(direct_path) BETWEEN 1 AND 4096),
    url         text        CHECK (length(url) BETWEEN 1 AND 8192),
    expires_at  timestamptz,
    PRIMARY KEY (queue_id, uploaded_at)
);
COMMENT ON TABLE  queue_upload             IS 'One row per upload of the file of a queue: all its recipients are sent the same, and one that asks for its message again gets that of its time. Written by the owner of the session''s shard before anybody is sent to; it goes with its queue.';
COMMENT ON COLUMN queue_upload.queue_id    IS 'The queue.';
COMMENT ON COLUMN queue_upload.uploaded_at IS 'When WhatsApp took the file. The newest counts for who was not sent to yet.';
COMMENT ON COLUMN queue_upload.mimetype    IS 'Its type, as recipients are told.';
COMMENT ON COLUMN queue_upload.as_document IS 'It is not of the kind that it was to be sent as, and goes as a document.';
COMMENT ON COLUMN queue_upload.length      IS 'The length of what it says, in bytes.';
COMMENT ON COLUMN queue_upload.media_key   IS 'Its key, which every recipient is told.';
COMMENT ON COLUMN queue_upload.sha256      IS 'SHA-256 of what it says.';
COMMENT ON COLUMN queue_upload.enc_sha256  IS 'SHA-256 of the encrypted file.';
COMMENT ON COLUMN queue_upload.direct_path IS 'Where it is at the media hosts.';
COMMENT ON COLUMN queue_upload.url         IS 'The same with a host, if WhatsApp told one.';
COMMENT ON COLUMN queue_upload.expires_at  IS 'When it is there no more, if its path says so: it is uploaded again before.';
