-- What the schema 8bdf5929c5a6 (migration 8) added.
CREATE TABLE vmoves (
    created_at DATETIME, updated_at DATETIME, deleted_at DATETIME, deleted INT,
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    uuid VARCHAR(36) NOT NULL,
    notification_uuid VARCHAR(36) NOT NULL,
    instance_uuid VARCHAR(36) NOT NULL,
    instance_name VARCHAR(255) NOT NULL,
    source_host VARCHAR(255), dest_host VARCHAR(255),
    start_time DATETIME, end_time DATETIME,
    type VARCHAR(36),
    status VARCHAR(255),
    message TEXT,
    UNIQUE KEY uniq_vmove0uuid (uuid)
);
INSERT INTO vmoves (created_at, deleted, id, uuid, notification_uuid, instance_uuid, instance_name, source_host, dest_host, start_time, end_time, type, status, message)
VALUES
    ('2026-03-01 12:03:00', 0, 20, '77aa0000-0000-0000-0000-000000000020', '2cb10000-0000-0000-0000-000000000030', '9d3a0000-0000-0000-0000-000000000001', 'db-1', 'cmp2', 'spare1', '2026-03-01 12:03:01', '2026-03-01 12:03:21', 'evacuation', 'succeeded', NULL),
    ('2026-03-01 12:03:00', 0, 21, '77aa0000-0000-0000-0000-000000000021', '2cb10000-0000-0000-0000-000000000030', '9d3a0000-0000-0000-0000-000000000002', 'db-2', 'cmp2', NULL, '2026-03-01 12:03:01', NULL, 'evacuation', 'ongoing', NULL),
    ('2024-03-01 12:03:00', 0, 3, '77aa0000-0000-0000-0000-000000000003', '2cb10000-0000-0000-0000-000000000001', '9d3a0000-0000-0000-0000-000000000003', 'old', 'cmp9', NULL, NULL, NULL, 'evacuation', 'failed', 'purged');
