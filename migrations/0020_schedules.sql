-- Sends that are made at set times.

CREATE TABLE schedule (
    id            uuid        PRIMARY KEY,
    session_id    bigint      NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    name          text        NOT NULL CHECK (length(name) BETWEEN 1 AND 128),
    cron          text        CHECK (length(cron) BETWEEN 1 AND 200),
    at            timestamptz,
    timezone      text        NOT NULL CHECK (length(timezone) BETWEEN 1 AND 64),
    misfire       smallint    NOT NULL CHECK (misfire BETWEEN 0 AND 2),
    send          text        NOT NULL,
    seed          text,
    next_at       timestamptz,
    claimed_until timestamptz,
    fired_at      timestamptz,
    queue_id      uuid,
    fired         bigint      NOT NULL DEFAULT 0 CHECK (fired >= 0),
    created_at    timestamptz NOT NULL,
    UNIQUE (session_id, name),
    CHECK ((cron IS NULL) <> (at IS NULL))
);
CREATE INDEX schedule_due ON schedule (next_at) WHERE next_at IS NOT NULL;
COMMENT ON TABLE  schedule               IS 'Sends that are made at set times. A firing is a send job whose id is made of the schedule and its time, so that the same firing twice is one job.';
COMMENT ON COLUMN schedule.id            IS 'Which schedule: one that is made anew under the same name is another.';
COMMENT ON COLUMN schedule.session_id    IS 'Whose sends they are.';
COMMENT ON COLUMN schedule.name          IS 'What its caller calls it by.';
COMMENT ON COLUMN schedule.cron          IS 'Five fields; null where it fires once.';
COMMENT ON COLUMN schedule.at            IS 'When it fires, if once.';
COMMENT ON COLUMN schedule.timezone      IS 'The IANA time zone that cron is read in.';
COMMENT ON COLUMN schedule.misfire       IS 'What to do about firings that were missed: 0 skip, 1 once, 2 all.';
COMMENT ON COLUMN schedule.send          IS 'The body of the send job that a firing is, as JSON.';
COMMENT ON COLUMN schedule.seed          IS 'How a caller of the older API wrote it, as JSON, to be told again.';
COMMENT ON COLUMN schedule.next_at       IS 'When it fires next; null when it does not any more.';
COMMENT ON COLUMN schedule.claimed_until IS 'Until when the worker that fires it is left alone with it.';
COMMENT ON COLUMN schedule.fired_at      IS 'The time that it last fired for; null if it has not.';
COMMENT ON COLUMN schedule.queue_id      IS 'The queue which that made.';
COMMENT ON COLUMN schedule.fired         IS 'How often it has fired.';
COMMENT ON COLUMN schedule.created_at    IS 'When it was made.';
