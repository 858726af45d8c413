-- Answers to requests with an Idempotency-Key.

CREATE TABLE idempotency (
    scope       text        NOT NULL CHECK (length(scope) BETWEEN 1 AND 128),
    key         text        NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    fingerprint bytea       NOT NULL CHECK (length(fingerprint) = 32),
    status      smallint    CHECK (status BETWEEN 100 AND 599),
    body        bytea,
    locked_until timestamptz,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (scope, key),
    CONSTRAINT an_answer_is_whole CHECK ((status IS NULL) = (body IS NULL)),
    CONSTRAINT answered_or_locked CHECK ((status IS NULL) = (locked_until IS NOT NULL))
);
CREATE INDEX idempotency_expiry ON idempotency (expires_at);
COMMENT ON TABLE  idempotency              IS 'The same key again gets the same answer and does nothing.';
COMMENT ON COLUMN idempotency.scope        IS 'What the key is unique within (the route).';
COMMENT ON COLUMN idempotency.key          IS 'The caller''s key.';
COMMENT ON COLUMN idempotency.fingerprint  IS 'SHA-256 of the request; the same key with another one is refused.';
COMMENT ON COLUMN idempotency.status       IS 'HTTP status that was answered; null while at work.';
COMMENT ON COLUMN idempotency.body         IS 'Body that was answered.';
COMMENT ON COLUMN idempotency.locked_until IS 'While at work: until when another request with the key is told to wait.';
COMMENT ON COLUMN idempotency.expires_at   IS 'When the row may be forgotten.';
