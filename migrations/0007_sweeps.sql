-- What keeps sweeps, retries and counts quick, however many rows there are.

CREATE INDEX queue_finished ON queue (finished_at) WHERE finished_at IS NOT NULL;

-- Due deliveries are looked for endpoint by endpoint, so that the backlog of one hides nobody else's.
DROP INDEX delivery_due;
CREATE INDEX delivery_waiting ON delivery (webhook_id, next_attempt_at) WHERE state = 0;
CREATE INDEX delivery_dead ON delivery (webhook_id, id DESC) WHERE state = 2;
CREATE INDEX delivery_finished ON delivery (finished_at) WHERE state <> 0;
