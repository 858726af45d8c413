-- Who looks over the whole deployment, for its metrics.

CREATE TABLE survey (
    single boolean     PRIMARY KEY DEFAULT true CHECK (single),
    owner  text        CHECK (length(owner) BETWEEN 1 AND 128),
    until  timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);
COMMENT ON TABLE  survey        IS 'One row: the process that counts what waits in the whole deployment, for all others.';
COMMENT ON COLUMN survey.single IS 'True: there is one row.';
COMMENT ON COLUMN survey.owner  IS 'A name that the process made up when it started; null before the first one.';
COMMENT ON COLUMN survey.until  IS 'Until when it is that process'' turn, unless it prolongs it; then it is the turn of whoever comes first.';

INSERT INTO survey DEFAULT VALUES;
