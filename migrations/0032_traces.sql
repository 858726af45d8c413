-- Which trace a queue, an event and a delivery belong to, so that what lasts days and outlives processes stays in it.

ALTER TABLE queue ADD COLUMN traceparent text CHECK (length(traceparent) = 55);
COMMENT ON COLUMN queue.traceparent IS 'What its sends follow from, as W3C Trace Context has it; null without a trace. Of the job that made it, and no part of its identity.';

ALTER TABLE outbox ADD COLUMN traceparent text CHECK (length(traceparent) = 55);
COMMENT ON COLUMN outbox.traceparent IS 'The header traceparent that the event is published with; null without a trace.';

ALTER TABLE delivery ADD COLUMN traceparent text CHECK (length(traceparent) = 55);
COMMENT ON COLUMN delivery.traceparent IS 'That of the event, which each attempt follows from; null without a trace.';
