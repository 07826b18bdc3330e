-- Every statement can be repeated: a definition is committed by itself, so a migration may have stopped anywhere.
-- Keys are bytes: names compare exactly, whatever collation the server prefers.
CREATE TABLE IF NOT EXISTS ostler_schema (
    one BIGINT NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    reader BIGINT NOT NULL
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS entry (
    run VARBINARY(255) NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    term BIGINT NOT NULL,
    body LONGBLOB NOT NULL,
    PRIMARY KEY (run, seq),
    KEY entry_opened (seq, at)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS plan (
    id VARBINARY(255) NOT NULL PRIMARY KEY,
    kept BIGINT NOT NULL,
    body LONGBLOB NOT NULL,
    KEY plan_kept (kept)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS inventory (
    cloud VARBINARY(255) NOT NULL PRIMARY KEY,
    taken BIGINT NOT NULL,
    body LONGBLOB NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS lease (
    name VARBINARY(255) NOT NULL PRIMARY KEY,
    owner VARBINARY(255) NOT NULL,
    term BIGINT NOT NULL,
    until BIGINT NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

INSERT IGNORE INTO ostler_schema (one, version, reader) VALUES (1, 1, 1);
