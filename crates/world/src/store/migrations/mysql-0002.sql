-- The register of instance HA. InnoDB gives a number once, also over a restart.
-- `deleted` is 0 for a live row and its own number for a deleted one, so names are unique among live rows only;
-- `closed_mark` of an incident does the same for its key.
CREATE TABLE IF NOT EXISTS ha_segment (
    number BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    id VARBINARY(64) NOT NULL UNIQUE,
    name VARBINARY(1020) NOT NULL,
    service_type VARBINARY(1020) NOT NULL,
    enabled BIGINT NOT NULL,
    description LONGBLOB,
    recovery_method VARBINARY(32) NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT,
    deleted_at BIGINT,
    deleted BIGINT NOT NULL DEFAULT 0,
    UNIQUE KEY ha_segment_name (name, deleted)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS ha_host (
    number BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    id VARBINARY(64) NOT NULL UNIQUE,
    name VARBINARY(1020) NOT NULL,
    segment VARBINARY(64) NOT NULL,
    kind VARBINARY(1020) NOT NULL,
    control_attributes LONGBLOB NOT NULL,
    reserved BIGINT NOT NULL,
    on_maintenance BIGINT NOT NULL,
    under_recovery BIGINT NOT NULL,
    quarantined BIGINT NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT,
    deleted_at BIGINT,
    deleted BIGINT NOT NULL DEFAULT 0,
    UNIQUE KEY ha_host_name (name, deleted),
    KEY ha_host_segment (segment, deleted)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS ha_notification (
    number BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    id VARBINARY(64) NOT NULL UNIQUE,
    generated_at BIGINT NOT NULL,
    host VARBINARY(64) NOT NULL,
    kind VARBINARY(32) NOT NULL,
    payload LONGBLOB NOT NULL,
    status VARBINARY(32) NOT NULL,
    segment VARBINARY(64),
    message LONGBLOB,
    incident VARBINARY(64),
    reporter VARBINARY(1020) NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT,
    KEY ha_notification_created (created, number),
    KEY ha_notification_status (status, number)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS ha_move (
    number BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    id VARBINARY(64) NOT NULL UNIQUE,
    notification VARBINARY(64) NOT NULL,
    instance VARBINARY(64) NOT NULL,
    instance_name VARBINARY(1020) NOT NULL,
    source VARBINARY(1020),
    destination VARBINARY(1020),
    started BIGINT,
    ended BIGINT,
    kind VARBINARY(32) NOT NULL,
    status VARBINARY(32) NOT NULL,
    message LONGBLOB,
    created BIGINT NOT NULL,
    updated BIGINT,
    KEY ha_move_notification (notification, created)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS ha_progress (
    number BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    notification VARBINARY(64) NOT NULL,
    mark VARBINARY(255) NOT NULL,
    task VARBINARY(255) NOT NULL,
    state VARBINARY(32) NOT NULL,
    permille BIGINT NOT NULL,
    at BIGINT NOT NULL,
    message LONGBLOB NOT NULL,
    UNIQUE KEY ha_progress_mark (notification, mark)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS ha_incident (
    number BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    id VARBINARY(64) NOT NULL UNIQUE,
    about VARBINARY(1500) NOT NULL,
    closed_mark BIGINT NOT NULL DEFAULT 0,
    host VARBINARY(64) NOT NULL,
    segment VARBINARY(64),
    notification VARBINARY(64) NOT NULL,
    opened BIGINT NOT NULL,
    closed BIGINT,
    stage VARBINARY(32) NOT NULL,
    why LONGBLOB NOT NULL,
    at_work_until BIGINT NOT NULL,
    version BIGINT NOT NULL,
    body LONGBLOB NOT NULL,
    UNIQUE KEY ha_incident_key (about, closed_mark),
    KEY ha_incident_open (closed_mark, number)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS ha_joined (
    number BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    incident VARBINARY(64) NOT NULL,
    payload_digest VARBINARY(64) NOT NULL,
    payload LONGBLOB NOT NULL,
    reporter VARBINARY(1020) NOT NULL,
    generated_at BIGINT NOT NULL,
    at BIGINT NOT NULL,
    UNIQUE KEY ha_joined_payload (incident, payload_digest)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

UPDATE ostler_schema SET version = 2 WHERE one = 1 AND version < 2;
