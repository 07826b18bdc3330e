-- What is known of something beside itself, for example what a plan's last rehearsal came to.
CREATE TABLE note (
    subject TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (subject, kind)
) STRICT, WITHOUT ROWID;

UPDATE ostler_schema SET version = 3 WHERE one = 1;
