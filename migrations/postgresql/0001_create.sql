-- The session table, for a database that has none.
--
-- Keys are compared byte by byte (COLLATE "C"). `version` is what a writer compares before it writes. Times are unix
-- seconds. No index mentions `expires_at`: every touch of a session would then write to all indexes of its row. Expired
-- rows are found by the day on which they expire, which a touch changes once a day.

CREATE TABLE IF NOT EXISTS sessions (
    key text COLLATE "C" PRIMARY KEY,
    data bytea NOT NULL,
    version bigint NOT NULL,
    expires_at bigint NOT NULL,
    owner text COLLATE "C",
    expires_on integer GENERATED ALWAYS AS ((expires_at / 86400)::integer) STORED
) WITH (fillfactor = 90);

CREATE INDEX IF NOT EXISTS sessions_expires_on_idx ON sessions (expires_on);

CREATE INDEX IF NOT EXISTS sessions_owner_idx ON sessions (owner) WHERE owner IS NOT NULL;
