-- A way out of its own, per session.

ALTER TABLE session
    ADD COLUMN proxy         bytea CHECK (length(proxy) BETWEEN 30 AND 4096),
    ADD COLUMN proxy_address text  CHECK (length(proxy_address) BETWEEN 1 AND 300),
    ADD CONSTRAINT proxy_has_an_address CHECK ((proxy IS NULL) = (proxy_address IS NULL));
COMMENT ON COLUMN session.proxy         IS 'The URL of the proxy that its connections leave by, sealed (it may hold a password); null for the deployment''s (WHATSAPP_PROXY). Opened by workers alone.';
COMMENT ON COLUMN session.proxy_address IS 'Scheme, host and port of that, to be shown.';
