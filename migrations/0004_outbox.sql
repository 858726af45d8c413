-- Events that are committed and not yet published.

CREATE TABLE outbox (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    shard       smallint    NOT NULL CHECK (shard BETWEEN 0 AND 99),
    event_id    uuid        NOT NULL,
    token       text        NOT NULL,
    event       text        NOT NULL CHECK (length(event) BETWEEN 1 AND 64),
    body        text        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX outbox_shard ON outbox (shard, id);
COMMENT ON TABLE  outbox            IS 'Written with the state an event tells of; the relay of the shard''s owner publishes in order and deletes.';
COMMENT ON COLUMN outbox.id         IS 'Order of publication within a shard.';
COMMENT ON COLUMN outbox.shard      IS 'Shard of the session.';
COMMENT ON COLUMN outbox.event_id   IS 'The event''s public id, the same each time it is published.';
COMMENT ON COLUMN outbox.token      IS 'The session''s token, first part of the routing key.';
COMMENT ON COLUMN outbox.event      IS 'The event''s name.';
COMMENT ON COLUMN outbox.body       IS 'The whole envelope, as JSON text.';
COMMENT ON COLUMN outbox.created_at IS 'When it was committed; its age is the relay''s lag.';
