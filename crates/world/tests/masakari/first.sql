-- Masakari's tables as its first schema (8f848eb45d03; migration 7) has them.
CREATE TABLE failover_segments (
    created_at DATETIME, updated_at DATETIME, deleted_at DATETIME, deleted INT,
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    uuid VARCHAR(36) NOT NULL,
    name VARCHAR(255) NOT NULL,
    service_type VARCHAR(255) NOT NULL,
    description TEXT,
    recovery_method ENUM('auto', 'reserved_host', 'auto_priority', 'rh_priority') NOT NULL,
    enabled TINYINT(1),
    UNIQUE KEY uniq_segments0uuid (uuid),
    UNIQUE KEY uniq_segment0name0deleted (name, deleted),
    KEY segments_service_type_idx (service_type)
);
CREATE TABLE hosts (
    created_at DATETIME, updated_at DATETIME, deleted_at DATETIME, deleted INT,
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    uuid VARCHAR(36) NOT NULL,
    name VARCHAR(255) NOT NULL,
    reserved TINYINT(1),
    type VARCHAR(255) NOT NULL,
    control_attributes TEXT NOT NULL,
    failover_segment_id VARCHAR(36) NOT NULL,
    on_maintenance TINYINT(1),
    UNIQUE KEY uniq_host0uuid (uuid),
    UNIQUE KEY uniq_host0name0deleted (name, deleted),
    KEY hosts_type_idx (type),
    FOREIGN KEY (failover_segment_id) REFERENCES failover_segments (uuid)
);
CREATE TABLE notifications (
    created_at DATETIME, updated_at DATETIME, deleted_at DATETIME, deleted INT,
    id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    notification_uuid VARCHAR(36) NOT NULL,
    generated_time DATETIME NOT NULL,
    source_host_uuid VARCHAR(36) NOT NULL,
    type VARCHAR(36) NOT NULL,
    payload TEXT,
    status ENUM('new', 'running', 'error', 'failed', 'ignored', 'finished') NOT NULL,
    UNIQUE KEY uniq_notification0uuid (notification_uuid)
);
INSERT INTO failover_segments (created_at, deleted, id, uuid, name, service_type, description, recovery_method, enabled)
VALUES
    ('2026-01-01 10:00:00', 0, 7, '0f0c0000-0000-0000-0000-000000000007', 'rack-a', 'COMPUTE', 'row 3 – Süd', 'rh_priority', 1),
    ('2026-01-01 10:00:01', 0, 8, '0f0c0000-0000-0000-0000-000000000008', 'rack-b', 'COMPUTE', NULL, 'auto', NULL),
    ('2026-01-01 10:00:02', 0, 9, '0f0c0000-0000-0000-0000-000000000009', 'rack-c', 'SSH', NULL, 'auto', 0),
    ('2025-01-01 10:00:00', 6, 6, '0f0c0000-0000-0000-0000-000000000006', 'rack-a', 'COMPUTE', NULL, 'auto', 1);
INSERT INTO hosts (created_at, updated_at, deleted, id, uuid, name, reserved, type, control_attributes, failover_segment_id, on_maintenance)
VALUES
    ('2026-01-01 11:00:00', NULL, 0, 21, '5b1e0000-0000-0000-0000-000000000021', 'cmp1', 0, 'COMPUTE', 'SSH', '0f0c0000-0000-0000-0000-000000000007', 0),
    ('2026-01-01 11:00:00', '2026-02-01 11:00:00', 0, 22, '5b1e0000-0000-0000-0000-000000000022', 'cmp2', NULL, 'COMPUTE', 'SSH', '0f0c0000-0000-0000-0000-000000000007', 1),
    ('2026-01-01 11:00:00', NULL, 0, 23, '5b1e0000-0000-0000-0000-000000000023', 'spare1', 1, 'COMPUTE', 'SSH', '0f0c0000-0000-0000-0000-000000000007', NULL),
    ('2026-01-01 11:00:00', NULL, 24, 24, '5b1e0000-0000-0000-0000-000000000024', 'gone', 0, 'COMPUTE', 'SSH', '0f0c0000-0000-0000-0000-000000000007', 0);
INSERT INTO notifications (created_at, updated_at, deleted, id, notification_uuid, generated_time, source_host_uuid, type, payload, status)
VALUES
    ('2026-03-01 12:00:01', '2026-03-01 12:05:00', 0, 30, '2cb10000-0000-0000-0000-000000000030', '2026-03-01 12:00:00', '5b1e0000-0000-0000-0000-000000000022', 'COMPUTE_HOST', '{"event": "STOPPED", "host_status": "NORMAL", "cluster_status": "OFFLINE"}', 'finished'),
    ('2026-03-02 12:00:01', NULL, 0, 31, '2cb10000-0000-0000-0000-000000000031', '2026-03-02 12:00:00', '5b1e0000-0000-0000-0000-000000000021', 'VM', '{"event": "LIFECYCLE", "vir_domain_event": "STOPPED_FAILED", "instance_uuid": "9d3a0000-0000-0000-0000-000000000001"}', 'running'),
    ('2026-03-03 12:00:01', NULL, 0, 32, '2cb10000-0000-0000-0000-000000000032', '2026-03-03 12:00:00', '5b1e0000-0000-0000-0000-000000000021', 'PROCESS', '{"event": "STOPPED", "process_name": "nova-compute"}', 'ignored'),
    ('2026-03-04 12:00:01', NULL, 0, 33, '2cb10000-0000-0000-0000-000000000033', '2026-03-04 12:00:00', '5b1e0000-0000-0000-0000-000000000021', 'COMPUTE_HOST', '{"event": "STOP', 'failed');
