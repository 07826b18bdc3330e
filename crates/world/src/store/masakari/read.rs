//! Reads a Masakari database of any release that could still be running, in one consistent snapshot that cannot write.
//!
//! It must never guess: a schema that it does not know is refused by name, a row that it cannot read is said to be left.

use super::super::fault::unavailable;
use super::super::place::{Place, Servers};
use ostler_engine::seam::StoreError;
use ostler_model::Timestamp;
use ostler_model::ha::{
    Host, Kind, Move, MoveKind, MoveStatus, Notification, Payload, Progress, RecoveryMethod, Segment, Status,
    TaskState,
};
use ostler_model::ids::{HostId, InstanceId, MoveId, NotificationId, SegmentId};
use secrecy::ExposeSecret;
use serde_json::Value;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlRow, MySqlSslMode};
use sqlx::{ConnectOptions, Connection, Row};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long one host may take to accept a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// How long one question may take: the largest table is read whole.
const READ_LIMIT: Duration = Duration::from_secs(120);

/// Notifications that are taken, the newest; moves and steps are those of them. Ten years of one host a day.
const NOTIFICATIONS_MAX: usize = 50_000;

/// Moves that are taken.
const MOVES_MAX: usize = 500_000;

/// Steps of one task: what is told once for each instance of the fullest host.
const STEPS_MAX: usize = 5_000;

/// Longest mark of a step in the register.
const MARK_MAX: usize = 255;

/// Who reported what is taken over.
const REPORTER: &str = "imported from Masakari";

/// Why a report is failed that was under way.
const CUT: &str = "it was under way when this was taken over from Masakari; nothing more is done about it";

/// The states of a schema, the oldest first: what Alembic calls it, what its forerunner called it, and what came with it.
const HEADS: [(&str, Option<i64>); 3] = [
    ("8f848eb45d03", Some(7)),
    // Moves.
    ("8bdf5929c5a6", Some(8)),
    // A segment and a message beside each notification.
    ("13adff5efb9a", None),
];

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Where, without user and password.
    pub place: String,
    /// The state of its schema, as its own tools name it.
    pub schema: String,
    /// Segments.
    pub segments: Vec<Segment>,
    /// Hosts.
    pub hosts: Vec<Host>,
    /// Notifications.
    pub notifications: Vec<Notification>,
    /// Moves.
    pub moves: Vec<Move>,
    /// What its engine told of its work.
    pub steps: Vec<Progress>,
    /// What is not taken, and why.
    pub left: Vec<String>,
    /// What is taken and needs a person's eye.
    pub mind: Vec<String>,
}

/// Reads the database at `address` (`mysql://user:password@host/database`, also as `masakari.conf` writes it), and the one
/// with what the engine told of its work: `taskflow`, or the same one.
pub async fn read(address: &str, taskflow: Option<&str>) -> Result<Found, StoreError> {
    let mut source = Source::open(address).await?;
    let (head, schema) = source.head().await?;
    let mut found = Found { place: source.place.clone(), schema, ..Found::default() };
    source.segments(&mut found).await?;
    source.hosts(&mut found).await?;
    source.notifications(&mut found, head).await?;
    if head >= 1 {
        source.moves(&mut found).await?;
    }
    match taskflow {
        Some(other) => Source::open(other).await?.steps(&mut found).await?,
        None => source.steps(&mut found).await?,
    }
    // If this fails the server ends it by itself.
    let _ = source.link.close().await;
    Ok(found)
}

struct Source {
    link: MySqlConnection,
    place: String,
}

/// As `oslo.db` has it, with driver and options.
fn plain(address: &str) -> String {
    let address = address.trim();
    let address = match address.split_once("://") {
        Some((scheme, rest)) => format!("{}://{rest}", scheme.split('+').next().unwrap_or(scheme)),
        None => address.to_owned(),
    };
    // A password may hold a question mark; options come behind the database's name.
    match address.rsplit_once('@') {
        Some((account, rest)) => format!("{account}@{}", rest.split('?').next().unwrap_or(rest)),
        None => address,
    }
}

impl Source {
    async fn open(address: &str) -> Result<Source, StoreError> {
        let servers = match Place::parse(&plain(address))? {
            Place::Servers(servers) => servers,
            Place::File(_) => {
                return Err(unavailable(
                    "Masakari's database is no file",
                    "Name it as masakari.conf does: mysql://user:password@host/masakari.",
                ));
            }
        };
        let place = servers.to_string();
        let mut why = String::new();
        for host in &servers.hosts {
            match tokio::time::timeout(CONNECT_LIMIT, connect(&servers, &host.name, host.port)).await {
                Ok(Ok(link)) => {
                    let mut source = Source { link, place };
                    source.snapshot().await?;
                    return Ok(source);
                }
                Ok(Err(error)) => why = error.to_string(),
                Err(_) => why = format!("no answer within {} s", CONNECT_LIMIT.as_secs()),
            }
        }
        Err(unavailable(
            format!("Masakari's database {place} cannot be read: {why}"),
            "Check address, account and password; the account needs SELECT only.",
        ))
    }

    /// What is read from here on is of one moment, and nothing can be written.
    async fn snapshot(&mut self) -> Result<(), StoreError> {
        for sql in [
            "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
        ] {
            let done = sqlx::raw_sql(sql).execute(&mut self.link).await;
            done.map_err(|error| self.broken(&error))?;
        }
        Ok(())
    }

    fn broken(&self, error: &sqlx::Error) -> StoreError {
        unavailable(
            format!("Masakari's database {} cannot be read: {error}", self.place),
            "Nothing was changed. The account needs SELECT on all of its tables.",
        )
    }

    async fn rows(&mut self, sql: &'static str) -> Result<Vec<MySqlRow>, StoreError> {
        let asked = sqlx::query(sql).persistent(false).fetch_all(&mut self.link);
        match tokio::time::timeout(READ_LIMIT, asked).await {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(error)) => Err(self.broken(&error)),
            Err(_) => Err(unavailable(
                format!("{} has not answered for {} s", self.place, READ_LIMIT.as_secs()),
                "Nothing was changed. Try again.",
            )),
        }
    }

    async fn has_table(&mut self, name: &str) -> Result<bool, StoreError> {
        const SQL: &str = "SELECT CAST(TABLE_NAME AS CHAR) AS name FROM information_schema.TABLES \
                           WHERE TABLE_SCHEMA = DATABASE()";
        Ok(self.rows(SQL).await?.iter().any(|row| text(row, "name").as_deref() == Some(name)))
    }

    /// Which state the schema is in: its place among those that are known, and its name.
    async fn head(&mut self) -> Result<(usize, String), StoreError> {
        if self.has_table("masakari_alembic_version").await? {
            const SQL: &str = "SELECT CAST(version_num AS CHAR) AS version FROM masakari_alembic_version";
            let rows = self.rows(SQL).await?;
            let version = rows.first().and_then(|row| text(row, "version")).unwrap_or_default();
            return match HEADS.iter().position(|(head, _)| *head == version) {
                Some(at) => Ok((at, version)),
                None => Err(unavailable(
                    format!("the schema of {} is `{version}`, which is not known here", self.place),
                    "Nothing was changed. A newer Masakari made it: take a newer Ostler.",
                )),
            };
        }
        if self.has_table("migrate_version").await? {
            const SQL: &str = "SELECT CAST(version AS SIGNED) AS version FROM migrate_version \
                               ORDER BY version DESC LIMIT 1";
            let rows = self.rows(SQL).await?;
            let version = rows.first().and_then(|row| number(row, "version")).unwrap_or_default();
            return match HEADS.iter().position(|(_, old)| *old == Some(version)) {
                Some(at) => Ok((at, format!("migrate {version}"))),
                None => Err(unavailable(
                    format!("the schema of {} is of migration {version}; 7 and 8 are known here", self.place),
                    "Nothing was changed. Bring it to that of Masakari 10 or later: `masakari-manage db sync`.",
                )),
            };
        }
        Err(unavailable(
            format!("{} holds no tables of Masakari", self.place),
            "Is it the database that `[database] connection` of masakari.conf names?",
        ))
    }

    async fn segments(&mut self, found: &mut Found) -> Result<(), StoreError> {
        const SQL: &str = "SELECT CAST(id AS SIGNED) AS id, CAST(uuid AS CHAR) AS uuid, CAST(name AS CHAR) AS name, \
                           CAST(service_type AS CHAR) AS service_type, CAST(description AS CHAR) AS description, \
                           CAST(recovery_method AS CHAR) AS recovery_method, CAST(enabled AS SIGNED) AS enabled, \
                           DATE_FORMAT(created_at, '%Y-%m-%dT%H:%i:%sZ') AS created, \
                           DATE_FORMAT(updated_at, '%Y-%m-%dT%H:%i:%sZ') AS updated \
                           FROM failover_segments WHERE COALESCE(deleted, 0) = 0 ORDER BY id";
        for row in self.rows(SQL).await? {
            let (Some(id), Some(name)) = (text(&row, "uuid"), text(&row, "name")) else { continue };
            let word = text(&row, "recovery_method").unwrap_or_default();
            let Some(recovery_method) = RecoveryMethod::of(&word) else {
                found.left.push(format!("segment {name} ({id}): its recovery method `{word}` is not known"));
                continue;
            };
            let segment = Segment {
                number: number(&row, "id").unwrap_or_default(),
                id: SegmentId::new(id),
                name,
                service_type: text(&row, "service_type").unwrap_or_default(),
                // Rows of old have none; Masakari takes that for on.
                enabled: number(&row, "enabled") != Some(0),
                description: text(&row, "description"),
                recovery_method,
                created: time(&row, "created").unwrap_or(Timestamp::UNIX_EPOCH),
                updated: time(&row, "updated"),
            };
            if !segment.enabled {
                found.mind.push(format!("instance HA is off for the segment {}", segment.name));
            }
            found.segments.push(segment);
        }
        Ok(())
    }

    async fn hosts(&mut self, found: &mut Found) -> Result<(), StoreError> {
        const SQL: &str = "SELECT CAST(id AS SIGNED) AS id, CAST(uuid AS CHAR) AS uuid, CAST(name AS CHAR) AS name, \
                           CAST(failover_segment_id AS CHAR) AS segment, CAST(type AS CHAR) AS kind, \
                           CAST(control_attributes AS CHAR) AS control_attributes, \
                           CAST(reserved AS SIGNED) AS reserved, CAST(on_maintenance AS SIGNED) AS on_maintenance, \
                           DATE_FORMAT(created_at, '%Y-%m-%dT%H:%i:%sZ') AS created, \
                           DATE_FORMAT(updated_at, '%Y-%m-%dT%H:%i:%sZ') AS updated \
                           FROM hosts WHERE COALESCE(deleted, 0) = 0 ORDER BY id";
        let segments: BTreeSet<SegmentId> = found.segments.iter().map(|segment| segment.id.clone()).collect();
        for row in self.rows(SQL).await? {
            let (Some(id), Some(name)) = (text(&row, "uuid"), text(&row, "name")) else { continue };
            let segment = SegmentId::new(text(&row, "segment").unwrap_or_default());
            if !segments.contains(&segment) {
                found.left.push(format!("host {name} ({id}): its segment {segment} is not taken"));
                continue;
            }
            let host = Host {
                number: number(&row, "id").unwrap_or_default(),
                id: HostId::new(id),
                name,
                segment,
                kind: text(&row, "kind").unwrap_or_default(),
                control_attributes: text(&row, "control_attributes").unwrap_or_default(),
                reserved: number(&row, "reserved") == Some(1),
                on_maintenance: number(&row, "on_maintenance") == Some(1),
                under_recovery: false,
                quarantined: false,
                created: time(&row, "created").unwrap_or(Timestamp::UNIX_EPOCH),
                updated: time(&row, "updated"),
            };
            if host.on_maintenance {
                found.mind.push(format!(
                    "host {} is on maintenance, so nothing protects it; if it is well: `ostler ha return {}`",
                    host.name, host.name
                ));
            }
            found.hosts.push(host);
        }
        Ok(())
    }

    async fn notifications(&mut self, found: &mut Found, head: usize) -> Result<(), StoreError> {
        // The literals differ in the two columns that the newest schema added.
        const OLD: &str = "SELECT CAST(id AS SIGNED) AS id, CAST(notification_uuid AS CHAR) AS uuid, \
                           CAST(source_host_uuid AS CHAR) AS host, CAST(type AS CHAR) AS kind, \
                           CAST(payload AS CHAR) AS payload, CAST(status AS CHAR) AS status, \
                           CAST(NULL AS CHAR) AS segment, CAST(NULL AS CHAR) AS message, \
                           DATE_FORMAT(generated_time, '%Y-%m-%dT%H:%i:%sZ') AS generated_at, \
                           DATE_FORMAT(created_at, '%Y-%m-%dT%H:%i:%sZ') AS created, \
                           DATE_FORMAT(updated_at, '%Y-%m-%dT%H:%i:%sZ') AS updated \
                           FROM notifications WHERE COALESCE(deleted, 0) = 0 ORDER BY id DESC";
        const NEW: &str = "SELECT CAST(id AS SIGNED) AS id, CAST(notification_uuid AS CHAR) AS uuid, \
                           CAST(source_host_uuid AS CHAR) AS host, CAST(type AS CHAR) AS kind, \
                           CAST(payload AS CHAR) AS payload, CAST(status AS CHAR) AS status, \
                           CAST(failover_segment_uuid AS CHAR) AS segment, CAST(message AS CHAR) AS message, \
                           DATE_FORMAT(generated_time, '%Y-%m-%dT%H:%i:%sZ') AS generated_at, \
                           DATE_FORMAT(created_at, '%Y-%m-%dT%H:%i:%sZ') AS created, \
                           DATE_FORMAT(updated_at, '%Y-%m-%dT%H:%i:%sZ') AS updated \
                           FROM notifications WHERE COALESCE(deleted, 0) = 0 ORDER BY id DESC";
        let rows = self.rows(if head >= 2 { NEW } else { OLD }).await?;
        if rows.len() > NOTIFICATIONS_MAX {
            let more = rows.len() - NOTIFICATIONS_MAX;
            found.left.push(format!("{more} notifications: the newest {NOTIFICATIONS_MAX} are taken"));
        }
        for row in rows.iter().take(NOTIFICATIONS_MAX) {
            let Some(id) = text(row, "uuid") else { continue };
            let host = HostId::new(text(row, "host").unwrap_or_default());
            let payload = match payload(text(row, "kind").as_deref(), text(row, "payload").as_deref()) {
                Ok(payload) => payload,
                Err(why) => {
                    found.left.push(format!("notification {id}: {why}"));
                    continue;
                }
            };
            let word = text(row, "status").unwrap_or_default();
            let Some(status) = Status::of(&word) else {
                found.left.push(format!("notification {id}: its status `{word}` is not known"));
                continue;
            };
            let is_cut = matches!(status, Status::New | Status::Running | Status::Error);
            if is_cut {
                found.mind.push(format!(
                    "notification {id} was `{status}`: it is taken as failed, and nothing is done about it"
                ));
            }
            let of_host = found.hosts.iter().find(|known| known.id == host);
            let created = time(row, "created").unwrap_or(Timestamp::UNIX_EPOCH);
            found.notifications.push(Notification {
                number: number(row, "id").unwrap_or_default(),
                id: NotificationId::new(id),
                generated: time(row, "generated_at").unwrap_or(created),
                payload,
                status: if is_cut { Status::Failed } else { status },
                segment: text(row, "segment")
                    .map(SegmentId::new)
                    .or_else(|| of_host.map(|known| known.segment.clone())),
                message: if is_cut { Some(CUT.to_owned()) } else { text(row, "message") },
                host,
                incident: None,
                reporter: REPORTER.to_owned(),
                created,
                updated: time(row, "updated"),
            });
        }
        // As they were written.
        found.notifications.reverse();
        Ok(())
    }

    async fn moves(&mut self, found: &mut Found) -> Result<(), StoreError> {
        const SQL: &str = "SELECT CAST(id AS SIGNED) AS id, CAST(uuid AS CHAR) AS uuid, \
                           CAST(notification_uuid AS CHAR) AS notification, CAST(instance_uuid AS CHAR) AS instance, \
                           CAST(instance_name AS CHAR) AS instance_name, CAST(source_host AS CHAR) AS source, \
                           CAST(dest_host AS CHAR) AS destination, CAST(type AS CHAR) AS kind, \
                           CAST(status AS CHAR) AS status, CAST(message AS CHAR) AS message, \
                           DATE_FORMAT(start_time, '%Y-%m-%dT%H:%i:%sZ') AS started, \
                           DATE_FORMAT(end_time, '%Y-%m-%dT%H:%i:%sZ') AS ended, \
                           DATE_FORMAT(created_at, '%Y-%m-%dT%H:%i:%sZ') AS created, \
                           DATE_FORMAT(updated_at, '%Y-%m-%dT%H:%i:%sZ') AS updated \
                           FROM vmoves WHERE COALESCE(deleted, 0) = 0 ORDER BY id DESC";
        let known: BTreeSet<&str> = found.notifications.iter().map(|one| one.id.as_str()).collect();
        let rows = self.rows(SQL).await?;
        let (mut moves, mut left, mut orphans) = (Vec::new(), Vec::new(), 0_usize);
        if rows.len() > MOVES_MAX {
            left.push(format!("{} moves: the newest {MOVES_MAX} are taken", rows.len() - MOVES_MAX));
        }
        for row in rows.iter().take(MOVES_MAX) {
            let Some(id) = text(row, "uuid") else { continue };
            let notification = text(row, "notification").unwrap_or_default();
            if !known.contains(notification.as_str()) {
                orphans += 1;
                continue;
            }
            let (kind, status) =
                (text(row, "kind").unwrap_or_default(), text(row, "status").unwrap_or_default());
            let words = (MoveKind::of(&kind), MoveStatus::of(&status));
            let (Some(kind), Some(status)) = words else {
                left.push(format!("move {id}: its kind `{kind}` or status `{status}` is not known"));
                continue;
            };
            let is_cut = matches!(status, MoveStatus::Pending | MoveStatus::Ongoing);
            moves.push(Move {
                number: number(row, "id").unwrap_or_default(),
                id: MoveId::new(id),
                notification: NotificationId::new(notification),
                instance: InstanceId::new(text(row, "instance").unwrap_or_default()),
                instance_name: text(row, "instance_name").unwrap_or_default(),
                source: text(row, "source"),
                destination: text(row, "destination"),
                started: time(row, "started"),
                ended: time(row, "ended"),
                kind,
                status: if is_cut { MoveStatus::Failed } else { status },
                message: if is_cut { Some(CUT.to_owned()) } else { text(row, "message") },
                created: time(row, "created").unwrap_or(Timestamp::UNIX_EPOCH),
                updated: time(row, "updated"),
            });
        }
        moves.reverse();
        if orphans > 0 {
            // Masakari's own purge leaves them behind.
            left.push(format!("moves whose notifications are gone or not taken: {orphans}"));
        }
        found.moves = moves;
        found.left.extend(left);
        Ok(())
    }

    /// What the engine told of its work, where this database holds it.
    async fn steps(&mut self, found: &mut Found) -> Result<(), StoreError> {
        if !self.has_table("logbooks").await? || !self.has_table("atomdetails").await? {
            found.mind.push("what the engine told of its work is not in this database".to_owned());
            return Ok(());
        }
        const SQL: &str = "SELECT CAST(b.uuid AS CHAR) AS notification, CAST(a.uuid AS CHAR) AS atom, \
                           CAST(a.name AS CHAR) AS name, CAST(a.state AS CHAR) AS state, \
                           CAST(a.meta AS CHAR) AS meta \
                           FROM logbooks b JOIN flowdetails f ON f.parent_uuid = b.uuid \
                           JOIN atomdetails a ON a.parent_uuid = f.uuid \
                           WHERE a.atom_type = 'TASK_DETAIL' AND a.meta IS NOT NULL \
                           ORDER BY b.created_at, f.created_at, a.created_at, a.updated_at";
        let known: BTreeSet<String> = found.notifications.iter().map(|one| one.id.to_string()).collect();
        let mut unreadable = 0_usize;
        for row in self.rows(SQL).await? {
            let Some(notification) = text(&row, "notification").filter(|id| known.contains(id)) else {
                continue;
            };
            let meta: Option<Value> = text(&row, "meta").and_then(|meta| serde_json::from_str(&meta).ok());
            let Some(meta) = meta else {
                unreadable += 1;
                continue;
            };
            let atom = text(&row, "atom").unwrap_or_default();
            let name = text(&row, "name").unwrap_or_default();
            let state = text(&row, "state").unwrap_or_default();
            found.steps.extend(told(&notification, &atom, &name, &state, &meta));
        }
        if unreadable > 0 {
            // A progress of more than 64 KiB was cut off by the database.
            found.left.push(format!("tasks whose progress the database has cut off: {unreadable}"));
        }
        Ok(())
    }
}

async fn connect(servers: &Servers, host: &str, port: u16) -> sqlx::Result<MySqlConnection> {
    let options = MySqlConnectOptions::new()
        .host(host)
        .port(port)
        .username(&servers.user)
        .database(&servers.database)
        .ssl_mode(MySqlSslMode::Disabled)
        .disable_statement_logging();
    let options = match &servers.password {
        Some(password) => options.password(password.expose_secret()),
        None => options,
    };
    options.connect().await
}

/// A text; none for `NULL`, and for what is no text.
fn text(row: &MySqlRow, column: &str) -> Option<String> {
    row.try_get::<Option<String>, _>(column).ok().flatten()
}

fn number(row: &MySqlRow, column: &str) -> Option<i64> {
    row.try_get::<Option<i64>, _>(column).ok().flatten()
}

fn time(row: &MySqlRow, column: &str) -> Option<Timestamp> {
    text(row, column)?.parse().ok()
}

/// What a notification says, if it says what its kind can say.
fn payload(kind: Option<&str>, text: Option<&str>) -> Result<Payload, String> {
    let word = kind.unwrap_or_default();
    let kind = Kind::of(word).ok_or_else(|| format!("its type `{word}` is not known"))?;
    let payload: Payload = serde_json::from_str(text.unwrap_or_default())
        .map_err(|_| "what it says cannot be read".to_owned())?;
    match payload.kind() == kind {
        true => Ok(payload),
        false => Err(format!("it is a {kind} and says what a {} says", payload.kind())),
    }
}

/// The steps of one task.
fn told(notification: &str, atom: &str, name: &str, state: &str, meta: &Value) -> Vec<Progress> {
    let state = match state {
        "SUCCESS" => TaskState::Success,
        "REVERTED" | "REVERTING" => TaskState::Reverted,
        // What was under way is over.
        _ => TaskState::Failure,
    };
    let steps = meta["progress_details"]["details"]["progress_details"].as_array();
    let steps = steps.into_iter().flatten().take(STEPS_MAX).enumerate();
    let task: String = name.rsplit(['.', ':']).next().unwrap_or(name).chars().take(MARK_MAX / 4).collect();
    steps
        .filter_map(|(at, step)| {
            let stamp = step["timestamp"].as_str()?.replace(' ', "T");
            let progress = match &step["progress"] {
                Value::String(text) => text.parse().ok()?,
                other => other.as_f64()?,
            };
            Some(Progress {
                notification: NotificationId::new(notification),
                mark: format!("import/{atom}/{at}"),
                task: task.clone(),
                state,
                permille: (progress * 1_000.0).clamp(0.0, 1_000.0) as u16,
                // Without a zone it is universal time.
                at: stamp.parse().or_else(|_| format!("{stamp}Z").parse()).ok()?,
                message: step["message"].as_str().unwrap_or_default().to_owned(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_address_is_taken_as_masakari_conf_writes_it() {
        for (written, plainly) in [
            ("mysql+pymysql://m:p@vip/masakari?charset=utf8", "mysql://m:p@vip/masakari"),
            ("mysql://m:a?b@vip:3307/masakari", "mysql://m:a?b@vip:3307/masakari"),
        ] {
            assert_eq!(plain(written), plainly);
        }
    }

    #[test]
    fn a_payload_says_what_its_kind_can_say() {
        let host = r#"{"event": "STOPPED", "host_status": "NORMAL", "cluster_status": "OFFLINE"}"#;
        assert!(payload(Some("COMPUTE_HOST"), Some(host)).is_ok());
        for (kind, text, says) in [
            ("VM", host, "is a VM and says"),
            ("PROCESS", "{}", "cannot be read"),
            ("RACK", host, "`RACK`"),
            ("VM", "", "cannot be read"),
        ] {
            let why = payload(Some(kind), Some(text)).unwrap_err();
            assert!(why.contains(says), "{why}");
        }
    }

    #[test]
    fn what_a_task_told_is_kept_in_its_order() {
        let meta = json!({"progress": 1.0, "progress_details": {"at_progress": 1.0, "details": {"progress_details": [
            {"timestamp": "2026-11-21 19:30:02.104512", "progress": "0.0", "message": "begins"},
            {"timestamp": "2026-11-21 19:30:02.640031", "progress": "1.0", "message": "done"},
            {"timestamp": "soon", "progress": "1.0", "message": "no time"},
        ]}}});
        let steps = told("n", "atom", "masakari.tasks.EvacuateInstancesTask", "SUCCESS", &meta);
        let seen: Vec<(u16, &str, &str)> =
            steps.iter().map(|step| (step.permille, step.message.as_str(), step.task.as_str())).collect();
        let task = "EvacuateInstancesTask";
        assert_eq!(seen, [(0, "begins", task), (1_000, "done", task)]);
        assert_eq!(steps[0].mark, "import/atom/0");
    }
}
