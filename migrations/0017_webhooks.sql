-- Webhooks that can be changed: several sessions, headers, limits and two secrets; deliveries that were taken at once.

CREATE SEQUENCE webhook_revision;

ALTER TABLE webhook
    ADD COLUMN tokens           text[]      NOT NULL DEFAULT '{}',
    ADD COLUMN headers          bytea,
    ADD COLUMN old_secret       bytea,
    ADD COLUMN old_secret_until timestamptz,
    ADD COLUMN max_per_second   float8      CHECK (max_per_second > 0),
    ADD COLUMN max_concurrent   smallint    CHECK (max_concurrent > 0),
    ADD COLUMN enabled_at       timestamptz,
    ADD COLUMN revision         bigint      NOT NULL DEFAULT nextval('webhook_revision'),
    ADD CONSTRAINT old_secret_ends CHECK ((old_secret IS NULL) = (old_secret_until IS NULL));
UPDATE webhook SET tokens = ARRAY[token] WHERE token IS NOT NULL;
COMMENT ON SEQUENCE webhook_revision          IS 'Numbers the changes of all webhooks.';
COMMENT ON COLUMN webhook.token               IS 'The first of its sessions; null for all. What a release that knew one only reads and writes.';
COMMENT ON COLUMN webhook.tokens              IS 'The sessions whose events it wants; empty for that of token, or all.';
COMMENT ON COLUMN webhook.headers             IS 'Headers of its own, as JSON, sealed.';
COMMENT ON COLUMN webhook.old_secret          IS 'The secret before, sealed, which signs beside the current one for a while.';
COMMENT ON COLUMN webhook.old_secret_until    IS 'Until when.';
COMMENT ON COLUMN webhook.max_per_second      IS 'Most attempts that one worker begins in a second; null for no limit.';
COMMENT ON COLUMN webhook.max_concurrent      IS 'Most attempts that one worker has under way; null for the default.';
COMMENT ON COLUMN webhook.enabled_at          IS 'When it was enabled again; null if it never was disabled.';
COMMENT ON COLUMN webhook.revision            IS 'Another number after each change.';

ALTER TABLE delivery
    ADD COLUMN sequence bigint  NOT NULL DEFAULT 0,
    ADD COLUMN at_once  boolean NOT NULL DEFAULT false,
    ADD COLUMN answer   text    CHECK (length(answer) <= 500);
CREATE INDEX delivery_at_once ON delivery (webhook_id, id DESC) WHERE at_once AND state = 1;
COMMENT ON TABLE  delivery          IS 'Events that a webhook did not take at the first attempt, and the newest of those that it did.';
COMMENT ON COLUMN delivery.sequence IS 'The event''s place among those of its session; 0 where it has none.';
COMMENT ON COLUMN delivery.at_once  IS 'Taken at the first attempt and noted afterwards: kept for a shorter time than others.';
COMMENT ON COLUMN delivery.answer   IS 'What a test was answered with, as far as it is kept.';
COMMENT ON COLUMN delivery.created_at IS 'When the first attempt failed, or was put off, or was taken.';
