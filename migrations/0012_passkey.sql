-- Accounts that must prove themselves with a passkey before they link.

ALTER TABLE session
    ADD COLUMN passkey jsonb,
    ADD CONSTRAINT passkey_has_a_stage CHECK (passkey IS NULL OR passkey ? 'stage');
COMMENT ON COLUMN session.passkey IS 'How far linking with a passkey is, as its last session.passkey event told it; null if none was asked for since the session was paired.';
