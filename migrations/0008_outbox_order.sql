-- One index by shard and place, and none by place alone: with both the planner may read the backlog of all shards to
-- find that one of them has nothing.

ALTER TABLE outbox DROP CONSTRAINT outbox_pkey;
DROP INDEX outbox_shard;
ALTER TABLE outbox ADD PRIMARY KEY (shard, id);
