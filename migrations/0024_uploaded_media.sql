-- Files that callers upload to be sent.

CREATE TABLE media (
    id         uuid        PRIMARY KEY,
    mimetype   text        CHECK (length(mimetype) BETWEEN 1 AND 255),
    length     bigint      CHECK (length > 0),
    sha256     bytea       CHECK (length(sha256) = 32),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CHECK ((length IS NULL) = (sha256 IS NULL))
);
CREATE INDEX media_expires ON media (expires_at);
COMMENT ON TABLE  media            IS 'One row per file that a caller uploaded to be sent. What it says lies in MEDIA_STORE, under the id. A row is made before the file and removed after it, so that no file is forgotten.';
COMMENT ON COLUMN media.id         IS 'What sends name it by.';
COMMENT ON COLUMN media.mimetype   IS 'Its type, as its caller says; null if that was not said.';
COMMENT ON COLUMN media.length     IS 'Its length in bytes; null while it has not come as a whole.';
COMMENT ON COLUMN media.sha256     IS 'SHA-256 of it; null as long.';
COMMENT ON COLUMN media.created_at IS 'When it began to come.';
COMMENT ON COLUMN media.expires_at IS 'When it goes (KEEP_UPLOADS_DAYS).';
