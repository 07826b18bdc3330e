-- What is kept beside runs and plans with a time: the availability of services, trials of canaries and their things.
CREATE TABLE IF NOT EXISTS record (
    kind VARBINARY(64) NOT NULL,
    subject VARBINARY(255) NOT NULL,
    name VARBINARY(255) NOT NULL,
    at BIGINT NOT NULL,
    body LONGBLOB NOT NULL,
    PRIMARY KEY (kind, subject, name),
    KEY record_at (kind, subject, at)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

UPDATE ostler_schema SET version = 4 WHERE one = 1 AND version < 4;
