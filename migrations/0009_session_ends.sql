-- How a session ends: that it is being deleted, and that WhatsApp refused it and nobody tries again.

ALTER TABLE session
    ADD COLUMN deleting_at timestamptz,
    ADD COLUMN refused     boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT refused_is_closed CHECK (NOT refused OR state = 4);
COMMENT ON TABLE  session             IS 'One row per WhatsApp session. Written by the owner of its shard only, but for creation and deleting_at.';
COMMENT ON COLUMN session.deleting_at IS 'Since when it is to be deleted; no new session of its token until the row is gone.';
COMMENT ON COLUMN session.refused     IS 'WhatsApp refused the session for the reason of close_reason: nobody connects it again until it is started.';
COMMENT ON COLUMN session.wanted      IS 'Whether it is to be connected; false after a stop, a logout or a pairing that nobody took up.';
