-- WhatsApp sessions and their sealed credentials.

CREATE TABLE session (
    id                bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token             text        NOT NULL UNIQUE CHECK (token ~ '^[A-Za-z0-9_-]{1,64}$'),
    shard             smallint    NOT NULL CHECK (shard BETWEEN 0 AND 99),
    state             smallint    NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 5),
    wanted            boolean     NOT NULL DEFAULT true,
    jid               text        CHECK (length(jid) BETWEEN 1 AND 128),
    lid               text        CHECK (length(lid) BETWEEN 1 AND 128),
    push_name         text,
    platform          text,
    qr                text,
    qr_expires_at     timestamptz,
    pairing_code      text,
    code_expires_at   timestamptz,
    close_reason      smallint    CHECK (close_reason BETWEEN 0 AND 999),
    next_send_at      timestamptz,
    last_sequence     bigint      NOT NULL DEFAULT 0 CHECK (last_sequence >= 0),
    created_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    paired_at         timestamptz,
    CONSTRAINT open_has_an_owner     CHECK (state <> 3 OR jid IS NOT NULL),
    CONSTRAINT paired_has_an_owner   CHECK (paired_at IS NULL OR jid IS NOT NULL),
    CONSTRAINT qr_only_while_pairing CHECK (qr IS NULL OR state = 2),
    CONSTRAINT qr_has_an_end         CHECK ((qr IS NULL) = (qr_expires_at IS NULL)),
    CONSTRAINT code_only_while_pairing CHECK (pairing_code IS NULL OR state = 2),
    CONSTRAINT code_has_an_end       CHECK ((pairing_code IS NULL) = (code_expires_at IS NULL))
) WITH (fillfactor = 70);
CREATE INDEX session_shard ON session (shard);
COMMENT ON TABLE  session                 IS 'One row per WhatsApp session. Written by the owner of its shard only, but for creation.';
COMMENT ON COLUMN session.id              IS 'Internal number.';
COMMENT ON COLUMN session.token           IS 'Public name, and routing key of its jobs.';
COMMENT ON COLUMN session.shard           IS 'The shard whose job queue its token is bound to; chosen at creation.';
COMMENT ON COLUMN session.state           IS '0 new, 1 connecting, 2 pairing, 3 open, 4 closed, 5 logged out.';
COMMENT ON COLUMN session.wanted          IS 'Whether it is to be connected; false after a stop, and nothing else.';
COMMENT ON COLUMN session.jid             IS 'The account it is paired with, without device.';
COMMENT ON COLUMN session.lid             IS 'Hidden id of the account.';
COMMENT ON COLUMN session.push_name       IS 'Name the account goes by.';
COMMENT ON COLUMN session.platform        IS 'Kind of phone, as told when pairing.';
COMMENT ON COLUMN session.qr              IS 'Text of the QR code to scan now.';
COMMENT ON COLUMN session.qr_expires_at   IS 'When that code stops working.';
COMMENT ON COLUMN session.pairing_code    IS 'Code to type into the phone now.';
COMMENT ON COLUMN session.code_expires_at IS 'When that code stops working.';
COMMENT ON COLUMN session.close_reason    IS 'Why it last closed: the statusReason of its connection.update.';
COMMENT ON COLUMN session.next_send_at    IS 'Before this nothing is sent: the gap drawn with the last send, so that a new owner waits it out.';
COMMENT ON COLUMN session.last_sequence   IS 'Sequence of its newest event.';
COMMENT ON COLUMN session.created_at      IS 'When it was created.';
COMMENT ON COLUMN session.updated_at      IS 'When its state last changed (not moved by sends).';
COMMENT ON COLUMN session.paired_at       IS 'When it was paired; null without credentials.';

CREATE TABLE device_key (
    session_id  bigint   NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    kind        smallint NOT NULL CHECK (kind BETWEEN 0 AND 255),
    name        bytea    NOT NULL CHECK (length(name) <= 512),
    value       bytea    NOT NULL CHECK (length(value) >= 29),
    PRIMARY KEY (session_id, kind, name)
) WITH (fillfactor = 70);
COMMENT ON TABLE  device_key            IS 'Credentials and ratchets. Values are sealed (AES-256-GCM) before they come here.';
COMMENT ON COLUMN device_key.session_id IS 'Whose.';
COMMENT ON COLUMN device_key.kind       IS '0 device, 1 ratchet session, 2 identity, 3 prekey, 4 signed prekey, 5 sender key, 6 lid of a phone number, 7 phone number of a lid; others are free.';
COMMENT ON COLUMN device_key.name       IS 'Name within the kind, in the form its writer chose.';
COMMENT ON COLUMN device_key.value      IS 'Key id (1), nonce (12), ciphertext, tag (16); bound to session, kind and name.';
