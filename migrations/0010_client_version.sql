-- The version of WhatsApp Web that the whole deployment says it is.

CREATE TABLE client_version (
    single          boolean     PRIMARY KEY DEFAULT true CHECK (single),
    version         bigint[]    CHECK (cardinality(version) = 3),
    source          smallint    CHECK (source BETWEEN 0 AND 1),
    built_at        timestamptz,
    fetched_at      timestamptz,
    tried_at        timestamptz,
    failure         text        CHECK (length(failure) BETWEEN 1 AND 200),
    next_fetch_at   timestamptz NOT NULL DEFAULT '-infinity',
    refused         bigint[]    CHECK (cardinality(refused) = 3),
    refused_at      timestamptz,
    expiring        bigint[]    CHECK (cardinality(expiring) = 3),
    expires_at      timestamptz,
    CHECK ((version IS NULL) = (source IS NULL) AND (version IS NULL) = (built_at IS NULL)),
    CHECK ((refused IS NULL) = (refused_at IS NULL)),
    CHECK ((expiring IS NULL) = (expires_at IS NULL))
);
COMMENT ON TABLE  client_version               IS 'One row: the version of WhatsApp Web that sessions say they are. Fetched by one worker for all; never set back.';
COMMENT ON COLUMN client_version.single        IS 'True: there is one row.';
COMMENT ON COLUMN client_version.version       IS 'Its three numbers; null before the first worker has started.';
COMMENT ON COLUMN client_version.source        IS '0 built into a worker, 1 read from the page.';
COMMENT ON COLUMN client_version.built_at      IS 'When WhatsApp built it, as the page says, or about, by its number.';
COMMENT ON COLUMN client_version.fetched_at    IS 'When the page was last read and believed, whether it had a newer version or not.';
COMMENT ON COLUMN client_version.tried_at      IS 'When a worker last began to fetch the page.';
COMMENT ON COLUMN client_version.failure       IS 'What came of that, in our words; null if the page was believed, and while it is being read.';
COMMENT ON COLUMN client_version.next_fetch_at IS 'From when on a worker fetches it again. Taking the turn sets it on, so that one worker fetches.';
COMMENT ON COLUMN client_version.refused       IS 'The latest version that WhatsApp refused a session for (405).';
COMMENT ON COLUMN client_version.refused_at    IS 'When it did that last.';
COMMENT ON COLUMN client_version.expiring      IS 'The version whose end WhatsApp has announced.';
COMMENT ON COLUMN client_version.expires_at    IS 'From when on WhatsApp will refuse it.';

INSERT INTO client_version DEFAULT VALUES;
