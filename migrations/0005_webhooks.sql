-- Webhooks and the deliveries that did not succeed at once.

CREATE TABLE webhook (
    id            uuid        PRIMARY KEY,
    token         text        CHECK (token ~ '^[A-Za-z0-9_-]{1,64}$'),
    url           text        NOT NULL CHECK (length(url) BETWEEN 1 AND 2048),
    secret        bytea       NOT NULL,
    events        text[]      NOT NULL DEFAULT '{}',
    dialect       smallint    NOT NULL DEFAULT 0 CHECK (dialect IN (0, 1)),
    disabled_at   timestamptz,
    disabled_why  text,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT disabled_has_a_reason CHECK ((disabled_at IS NULL) = (disabled_why IS NULL))
);
CREATE INDEX webhook_token ON webhook (token);
COMMENT ON TABLE  webhook              IS 'Endpoints that want events.';
COMMENT ON COLUMN webhook.id           IS 'Public id.';
COMMENT ON COLUMN webhook.token        IS 'The session whose events it wants; null for all. Not a reference: it may be registered first.';
COMMENT ON COLUMN webhook.url          IS 'Where to POST.';
COMMENT ON COLUMN webhook.secret       IS 'Signing secret, sealed.';
COMMENT ON COLUMN webhook.events       IS 'Names of the events it wants; empty for all.';
COMMENT ON COLUMN webhook.dialect      IS '0 signed envelopes (Standard Webhooks), 1 the seed''s global WEBHOOK with {token, key, message}.';
COMMENT ON COLUMN webhook.disabled_at  IS 'Since when nothing is sent to it.';
COMMENT ON COLUMN webhook.disabled_why IS 'Why: it answered 410, or somebody disabled it.';
COMMENT ON COLUMN webhook.created_at   IS 'When it was registered.';

CREATE TABLE delivery (
    id              uuid        PRIMARY KEY,
    webhook_id      uuid        NOT NULL REFERENCES webhook (id) ON DELETE CASCADE,
    event_id        uuid        NOT NULL,
    token           text        NOT NULL,
    event           text        NOT NULL,
    body            text        NOT NULL,
    state           smallint    NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 3),
    attempts        integer     NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    next_attempt_at timestamptz,
    leased_until    timestamptz,
    lease_token     uuid,
    last_status     smallint    CHECK (last_status BETWEEN 100 AND 999),
    last_error      text        CHECK (length(last_error) <= 500),
    history         jsonb       NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(history) = 'array'),
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at     timestamptz,
    UNIQUE (webhook_id, event_id),
    CONSTRAINT pending_has_a_time    CHECK ((state = 0) = (next_attempt_at IS NOT NULL)),
    CONSTRAINT finished_has_a_time   CHECK ((state <> 0) = (finished_at IS NOT NULL)),
    CONSTRAINT lease_is_a_pair       CHECK ((leased_until IS NULL) = (lease_token IS NULL)),
    CONSTRAINT only_pending_is_leased CHECK (lease_token IS NULL OR state = 0)
) WITH (fillfactor = 80);
CREATE INDEX delivery_due ON delivery (next_attempt_at) WHERE state = 0;
CREATE INDEX delivery_listed ON delivery (webhook_id, id DESC);
COMMENT ON TABLE  delivery                 IS 'An event that a webhook did not take at the first attempt. The common case has no row.';
COMMENT ON COLUMN delivery.id              IS 'Public id.';
COMMENT ON COLUMN delivery.webhook_id      IS 'To whom.';
COMMENT ON COLUMN delivery.event_id        IS 'Which event; unique with the webhook, so that a redelivered event adds nothing.';
COMMENT ON COLUMN delivery.token           IS 'The event''s session.';
COMMENT ON COLUMN delivery.event           IS 'The event''s name.';
COMMENT ON COLUMN delivery.body            IS 'What is posted.';
COMMENT ON COLUMN delivery.state           IS '0 pending, 1 delivered, 2 dead (gave up; can be replayed), 3 cancelled.';
COMMENT ON COLUMN delivery.attempts        IS 'Attempts made.';
COMMENT ON COLUMN delivery.next_attempt_at IS 'When the next is due.';
COMMENT ON COLUMN delivery.leased_until    IS 'Until when the worker that took it has it to itself.';
COMMENT ON COLUMN delivery.lease_token     IS 'Random; the worker''s result counts only with it.';
COMMENT ON COLUMN delivery.last_status     IS 'HTTP status of the last answer, if there was one.';
COMMENT ON COLUMN delivery.last_error      IS 'What went wrong at the last attempt.';
COMMENT ON COLUMN delivery.history         IS 'The attempts so far, oldest first: {at, status, error, ms}. At most 64.';
COMMENT ON COLUMN delivery.created_at      IS 'When the first attempt failed.';
COMMENT ON COLUMN delivery.finished_at     IS 'When it was delivered, given up or cancelled.';
