-- What is known of something beside itself, for example what a plan's last rehearsal came to.
CREATE TABLE IF NOT EXISTS note (
    subject VARBINARY(255) NOT NULL,
    kind VARBINARY(64) NOT NULL,
    body LONGBLOB NOT NULL,
    PRIMARY KEY (subject, kind)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

UPDATE ostler_schema SET version = 3 WHERE one = 1 AND version < 3;
