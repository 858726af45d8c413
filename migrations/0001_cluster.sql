-- Who works: live session workers and the shards they hold.

CREATE TABLE worker (
    id          text        PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 128),
    expires_at  timestamptz NOT NULL
);
COMMENT ON TABLE  worker            IS 'Session workers that were alive at their last tick; shards are divided among them.';
COMMENT ON COLUMN worker.id         IS 'Name of the process, new at each start.';
COMMENT ON COLUMN worker.expires_at IS 'Until when it counts as alive, by the database clock; moved on by each tick.';

CREATE TABLE shard_lease (
    shard       smallint    PRIMARY KEY CHECK (shard BETWEEN 0 AND 99),
    epoch       bigint      NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    owner       text        CHECK (length(owner) BETWEEN 1 AND 128),
    expires_at  timestamptz,
    CHECK ((owner IS NULL) = (expires_at IS NULL))
) WITH (fillfactor = 50);
COMMENT ON TABLE  shard_lease            IS 'One row per shard. Every write for a session names the epoch of its shard and fails if it is not the current one.';
COMMENT ON COLUMN shard_lease.shard      IS 'Number of the shard, as in the name of its job queue.';
COMMENT ON COLUMN shard_lease.epoch      IS 'Raised each time the shard is taken or given back; never lowered.';
COMMENT ON COLUMN shard_lease.owner      IS 'The worker that holds it; null when free.';
COMMENT ON COLUMN shard_lease.expires_at IS 'When the lease ends unless renewed, by the database clock.';
