-- What the schema 13adff5efb9a added, and TaskFlow's tables, which may stand beside Masakari's own.
ALTER TABLE notifications ADD COLUMN failover_segment_uuid VARCHAR(36), ADD COLUMN message TEXT;
UPDATE notifications SET failover_segment_uuid = '0f0c0000-0000-0000-0000-000000000007', message = 'a process that nothing depends on' WHERE id = 32;
CREATE TABLE logbooks (
    created_at DATETIME, updated_at DATETIME, meta TEXT, name VARCHAR(255), uuid VARCHAR(64) NOT NULL PRIMARY KEY
);
CREATE TABLE flowdetails (
    created_at DATETIME, updated_at DATETIME, parent_uuid VARCHAR(64), meta LONGTEXT, state VARCHAR(255), name VARCHAR(255),
    uuid VARCHAR(64) NOT NULL PRIMARY KEY
);
CREATE TABLE atomdetails (
    created_at DATETIME, updated_at DATETIME, parent_uuid VARCHAR(64), meta TEXT, name VARCHAR(255), results LONGTEXT,
    version VARCHAR(64), state VARCHAR(255), uuid VARCHAR(64) NOT NULL PRIMARY KEY, failure LONGTEXT,
    atom_type ENUM('RETRY_DETAIL', 'TASK_DETAIL'), intention ENUM('EXECUTE', 'IGNORE', 'REVERT', 'RETRY') DEFAULT 'EXECUTE',
    revert_results TEXT, revert_failure LONGTEXT
);
INSERT INTO logbooks (created_at, name, uuid) VALUES ('2026-03-01 12:00:02', 'recovery', '2cb10000-0000-0000-0000-000000000030');
INSERT INTO flowdetails (created_at, parent_uuid, state, name, uuid) VALUES ('2026-03-01 12:00:02', '2cb10000-0000-0000-0000-000000000030', 'SUCCESS', 'flow', 'flow-1');
INSERT INTO atomdetails (created_at, parent_uuid, name, state, uuid, atom_type, meta)
VALUES
    ('2026-03-01 12:00:02', 'flow-1', 'DisableComputeServiceTask', 'SUCCESS', 'atom-1', 'TASK_DETAIL', '{"progress": 1.0, "progress_details": {"at_progress": 1.0, "details": {"progress_details": [{"timestamp": "2026-03-01 12:00:02.100000", "progress": "0.0", "message": "disabling"}, {"timestamp": "2026-03-01 12:03:02.100000", "progress": "1.0", "message": "disabled"}]}}}'),
    ('2026-03-01 12:03:02', 'flow-1', 'PrepareHAEnabledInstancesTask', 'SUCCESS', 'atom-2', 'TASK_DETAIL', '{"progress": 1.0, "progress_details": {"details": {"progress_details": [{"timestamp": "2026-03'),
    ('2026-03-01 12:00:02', 'flow-1', 'retry', 'SUCCESS', 'atom-3', 'RETRY_DETAIL', '{}');
