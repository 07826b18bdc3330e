-- One row. `reader` is the oldest schema that an Ostler must know to work with this state: a change that only
-- adds things leaves it alone, so that replicas can be upgraded one after the other.
CREATE TABLE ostler_schema (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL,
    reader INTEGER NOT NULL
) STRICT;

CREATE TABLE entry (
    run TEXT NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    term INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

-- Runs, by when they were opened.
CREATE INDEX entry_opened ON entry (at) WHERE seq = 0;

CREATE TABLE plan (
    id TEXT NOT NULL PRIMARY KEY,
    kept INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

CREATE INDEX plan_kept ON plan (kept);

CREATE TABLE inventory (
    cloud TEXT NOT NULL PRIMARY KEY,
    taken INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

CREATE TABLE lease (
    name TEXT NOT NULL PRIMARY KEY,
    owner TEXT NOT NULL,
    term INTEGER NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO ostler_schema (one, version, reader) VALUES (1, 1, 1);
