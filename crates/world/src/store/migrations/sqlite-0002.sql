-- The register of instance HA. AUTOINCREMENT: a number is never used again, as clients keep them as markers.
-- `deleted` is 0 for a live row and its own number for a deleted one, so names are unique among live rows only;
-- `closed_mark` of an incident does the same for its key.
CREATE TABLE ha_segment (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    service_type TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    description TEXT,
    recovery_method TEXT NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER,
    deleted_at INTEGER,
    deleted INTEGER NOT NULL DEFAULT 0,
    UNIQUE (name, deleted)
) STRICT;

CREATE TABLE ha_host (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    segment TEXT NOT NULL,
    kind TEXT NOT NULL,
    control_attributes TEXT NOT NULL,
    reserved INTEGER NOT NULL,
    on_maintenance INTEGER NOT NULL,
    under_recovery INTEGER NOT NULL,
    quarantined INTEGER NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER,
    deleted_at INTEGER,
    deleted INTEGER NOT NULL DEFAULT 0,
    UNIQUE (name, deleted)
) STRICT;

CREATE INDEX ha_host_segment ON ha_host (segment, deleted);

CREATE TABLE ha_notification (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    generated_at INTEGER NOT NULL,
    host TEXT NOT NULL,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    status TEXT NOT NULL,
    segment TEXT,
    message TEXT,
    incident TEXT,
    reporter TEXT NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER
) STRICT;

CREATE INDEX ha_notification_created ON ha_notification (created, number);
CREATE INDEX ha_notification_status ON ha_notification (status, number);

CREATE TABLE ha_move (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    notification TEXT NOT NULL,
    instance TEXT NOT NULL,
    instance_name TEXT NOT NULL,
    source TEXT,
    destination TEXT,
    started INTEGER,
    ended INTEGER,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    message TEXT,
    created INTEGER NOT NULL,
    updated INTEGER
) STRICT;

CREATE INDEX ha_move_notification ON ha_move (notification, created);

CREATE TABLE ha_progress (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    notification TEXT NOT NULL,
    mark TEXT NOT NULL,
    task TEXT NOT NULL,
    state TEXT NOT NULL,
    permille INTEGER NOT NULL,
    at INTEGER NOT NULL,
    message TEXT NOT NULL,
    UNIQUE (notification, mark)
) STRICT;

CREATE TABLE ha_incident (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    about TEXT NOT NULL,
    closed_mark INTEGER NOT NULL DEFAULT 0,
    host TEXT NOT NULL,
    segment TEXT,
    notification TEXT NOT NULL,
    opened INTEGER NOT NULL,
    closed INTEGER,
    stage TEXT NOT NULL,
    why TEXT NOT NULL,
    at_work_until INTEGER NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (about, closed_mark)
) STRICT;

CREATE INDEX ha_incident_open ON ha_incident (closed_mark, number);

CREATE TABLE ha_joined (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    incident TEXT NOT NULL,
    payload_digest TEXT NOT NULL,
    payload TEXT NOT NULL,
    reporter TEXT NOT NULL,
    generated_at INTEGER NOT NULL,
    at INTEGER NOT NULL,
    UNIQUE (incident, payload_digest)
) STRICT;

UPDATE ostler_schema SET version = 2 WHERE one = 1;
