-- Queues (the sends of one job) and their recipients.

CREATE TABLE queue (
    id           uuid        PRIMARY KEY,
    session_id   bigint      NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    job_id       text        NOT NULL CHECK (length(job_id) BETWEEN 1 AND 128),
    fingerprint  bytea       NOT NULL CHECK (length(fingerprint) = 32),
    content      jsonb       NOT NULL,
    delay_min_ms integer     CHECK (delay_min_ms BETWEEN 0 AND 86400000),
    delay_max_ms integer     CHECK (delay_max_ms BETWEEN 0 AND 86400000),
    on_unknown   smallint    NOT NULL DEFAULT 0 CHECK (on_unknown IN (0, 1)),
    state        smallint    NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 4),
    total        integer     NOT NULL CHECK (total BETWEEN 1 AND 100000),
    settled      integer     NOT NULL DEFAULT 0 CHECK (settled >= 0),
    failed       integer     NOT NULL DEFAULT 0 CHECK (failed >= 0),
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at   timestamptz,
    paused_at    timestamptz,
    finished_at  timestamptz,
    UNIQUE (session_id, job_id),
    CONSTRAINT delay_is_a_pair           CHECK ((delay_min_ms IS NULL) = (delay_max_ms IS NULL)),
    CONSTRAINT delay_is_in_order         CHECK (delay_min_ms <= delay_max_ms),
    CONSTRAINT settled_is_a_part         CHECK (settled <= total),
    CONSTRAINT failed_is_a_part          CHECK (failed <= settled),
    CONSTRAINT running_has_started       CHECK (state NOT IN (1, 3) OR started_at IS NOT NULL),
    CONSTRAINT paused_has_a_time         CHECK ((state = 2) = (paused_at IS NOT NULL)),
    CONSTRAINT finished_has_a_time       CHECK ((state IN (3, 4)) = (finished_at IS NOT NULL)),
    CONSTRAINT completed_settled_all     CHECK (state <> 3 OR settled = total)
) WITH (fillfactor = 70);
CREATE INDEX queue_active ON queue (session_id, created_at, id) WHERE finished_at IS NULL;
CREATE INDEX queue_listed ON queue (session_id, created_at DESC, id DESC);
COMMENT ON TABLE  queue              IS 'One row per accepted send job. Written by the owner of the session''s shard.';
COMMENT ON COLUMN queue.id           IS 'The public queueId.';
COMMENT ON COLUMN queue.session_id   IS 'The session that sends it.';
COMMENT ON COLUMN queue.job_id       IS 'Identity of the job: the same id twice is one queue.';
COMMENT ON COLUMN queue.fingerprint  IS 'SHA-256 of the job; the same job id with another one is refused.';
COMMENT ON COLUMN queue.content      IS 'What is sent, as in the job.';
COMMENT ON COLUMN queue.delay_min_ms IS 'Shortest gap of this queue; null for the deployment''s MIN.';
COMMENT ON COLUMN queue.delay_max_ms IS 'Longest gap of this queue; null for the deployment''s MAX.';
COMMENT ON COLUMN queue.on_unknown   IS 'A send that a crash cut off: 0 send again under the same id, 1 hold as unknown.';
COMMENT ON COLUMN queue.state        IS '0 queued, 1 running, 2 paused, 3 completed, 4 deleted. 3 and 4 are final.';
COMMENT ON COLUMN queue.total        IS 'Number of recipients.';
COMMENT ON COLUMN queue.settled      IS 'Recipients that are past sending; kept with each recipient''s change, in its transaction.';
COMMENT ON COLUMN queue.failed       IS 'Those of them that failed.';
COMMENT ON COLUMN queue.created_at   IS 'When the job was accepted.';
COMMENT ON COLUMN queue.started_at   IS 'When send.message:START was put out.';
COMMENT ON COLUMN queue.paused_at    IS 'Since when it is paused.';
COMMENT ON COLUMN queue.finished_at  IS 'When it was completed or deleted.';

-- queue_id is no declared reference: to check it 100,000 times takes as long as storing the rows. Recipients are
-- made only in the transaction that makes their queue, and deleted in the one that deletes it.
CREATE TABLE recipient (
    queue_id     uuid        NOT NULL,
    seq          integer     NOT NULL CHECK (seq >= 0),
    session_id   bigint      NOT NULL,
    number       text        NOT NULL CHECK (length(number) BETWEEN 1 AND 64),
    state        smallint    NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 7),
    stanza_id    text        CHECK (length(stanza_id) BETWEEN 1 AND 128),
    error_status smallint    CHECK (error_status BETWEEN 100 AND 999),
    error        text        CHECK (length(error) <= 500),
    sent_at      timestamptz,
    delivered_at timestamptz,
    read_at      timestamptz,
    PRIMARY KEY (queue_id, seq),
    CONSTRAINT a_send_has_a_stanza   CHECK (state NOT IN (1, 2, 3, 4, 7) OR stanza_id IS NOT NULL),
    CONSTRAINT sent_has_a_time       CHECK ((state IN (2, 3, 4)) = (sent_at IS NOT NULL)),
    CONSTRAINT delivered_was_reached CHECK (delivered_at IS NULL OR state IN (3, 4)),
    CONSTRAINT read_has_a_time       CHECK ((state = 4) = (read_at IS NOT NULL)),
    CONSTRAINT failed_has_a_reason   CHECK ((state = 5) = (error_status IS NOT NULL))
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX recipient_stanza ON recipient (session_id, stanza_id) WHERE stanza_id IS NOT NULL;
COMMENT ON TABLE  recipient              IS 'One row per recipient of a queue. States only move forward; see state.';
COMMENT ON COLUMN recipient.queue_id     IS 'The queue.';
COMMENT ON COLUMN recipient.seq          IS 'Place in the queue, from 0, in the job''s order.';
COMMENT ON COLUMN recipient.session_id   IS 'The queue''s session, again, so that a receipt finds its row by session and stanza id.';
COMMENT ON COLUMN recipient.number       IS 'Phone number or jid, in canonical form.';
COMMENT ON COLUMN recipient.state        IS '0 queued → 1 sending → 2 sent → 3 delivered → 4 read, or 5 failed, 6 skipped, 7 unknown. In a deleted queue, queued reads as skipped.';
COMMENT ON COLUMN recipient.stanza_id    IS 'Id of its message; fixed before the first byte leaves, and used again after a crash.';
COMMENT ON COLUMN recipient.error_status IS 'Why it failed, in the manner of HTTP.';
COMMENT ON COLUMN recipient.error        IS 'Why it failed, in words (no personal data).';
COMMENT ON COLUMN recipient.sent_at      IS 'When the server acknowledged it.';
COMMENT ON COLUMN recipient.delivered_at IS 'When a device of the recipient had it.';
COMMENT ON COLUMN recipient.read_at      IS 'When it was read.';
