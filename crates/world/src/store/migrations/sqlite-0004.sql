-- What is kept beside runs and plans with a time: the availability of services, trials of canaries and their things.
CREATE TABLE record (
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    name TEXT NOT NULL,
    at INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, subject, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX record_at ON record (kind, subject, at);

UPDATE ostler_schema SET version = 4 WHERE one = 1;
