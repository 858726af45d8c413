-- Sends by the ids that they were asked for under, and queues that start later.

CREATE TABLE send_request (
    session_id  bigint      NOT NULL REFERENCES session (id) ON DELETE CASCADE,
    queue_id    uuid        NOT NULL,
    job_id      text        NOT NULL CHECK (length(job_id) BETWEEN 1 AND 128),
    message_id  text        CHECK (length(message_id) BETWEEN 1 AND 128),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    code        text        CHECK (length(code) BETWEEN 1 AND 64),
    field       text        CHECK (length(field) BETWEEN 1 AND 128),
    reason      text        CHECK (length(reason) <= 500),
    PRIMARY KEY (session_id, queue_id, job_id),
    CONSTRAINT a_rejection_has_a_reason CHECK ((code IS NULL) = (reason IS NULL))
);
CREATE INDEX send_request_message ON send_request (session_id, message_id) WHERE message_id IS NOT NULL;
CREATE INDEX send_request_age ON send_request (recorded_at);
COMMENT ON TABLE  send_request             IS 'Sends that the API took under an id of its caller''s (written by the API before it publishes them), and sends that were rejected (written by the owner of the session''s shard): what an id that got a 2xx is looked up by until there is a queue, and where there never is one.';
COMMENT ON COLUMN send_request.session_id  IS 'The session that was to send it.';
COMMENT ON COLUMN send_request.queue_id    IS 'The queue that it asked for.';
COMMENT ON COLUMN send_request.job_id      IS 'The job that asked.';
COMMENT ON COLUMN send_request.message_id  IS 'The id of its message, where it is a single one and named it.';
COMMENT ON COLUMN send_request.recorded_at IS 'When it was taken, or rejected.';
COMMENT ON COLUMN send_request.code        IS 'Why it was rejected, for programs; null while it was not.';
COMMENT ON COLUMN send_request.field       IS 'The field that it was rejected for.';
COMMENT ON COLUMN send_request.reason      IS 'Why it was rejected, in words (no personal data).';

-- Nothing ever changes start_at, so that neither column nor index costs a send anything.
ALTER TABLE queue ADD COLUMN start_at timestamptz;
CREATE INDEX queue_starts ON queue (session_id, start_at) WHERE start_at IS NOT NULL;
COMMENT ON COLUMN queue.start_at IS 'Nothing of it is sent before this; null for at once.';
