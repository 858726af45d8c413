-- What a session says of itself to its contacts, per session.

ALTER TABLE session ADD COLUMN presence smallint CHECK (presence BETWEEN 1 AND 2);
COMMENT ON COLUMN session.presence IS 'What it says of itself while it is connected: 1 unavailable, 2 available; null for what the deployment says (PRESENCE).';
