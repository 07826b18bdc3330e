//! Moves of servers from host to host, and Nova's own records of them.
//!
//! It must never take a server's place for a proof that its move has ended: the record says that.

use super::super::catalogue::COMPUTE;
use super::super::client::OpenStack;
use super::super::error::ApiError;
use super::super::reading::{needed, quoted, text};
use super::super::version::{Microversion, Range};
use super::{NEWEST, since};
use ostler_model::compute::MoveStage;
use serde_json::{Map, Value, json};

/// An evacuated server goes on as it was: from the version on that needs no word about shared disks, up to the last
/// one before servers stay stopped.
const AS_IT_WAS: Range = Range::new(Microversion(2, 14), Microversion(2, 94));

/// An evacuated server stays stopped.
const STOPPED: Range = Range::new(Microversion(2, 95), NEWEST);

/// A live migration needs no word about disks.
const LIVE: Range = since(25);

/// A migration record has a UUID, and lists of them are paged.
const RECORDS: Range = since(59);

/// How an evacuated server wakes up on its new host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakesUp {
    /// As it was: one that ran runs.
    AsItWas,
    /// Stopped, so that somebody else decides when it starts.
    Stopped,
}

/// Nova's record of a move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Its number; later ones have higher numbers.
    pub id: u64,
    /// The server.
    pub server: String,
    /// `evacuation`, `live-migration`, `migration`, `resize`.
    pub kind: String,
    /// Nova's word.
    pub status: String,
    /// From which host.
    pub source: Option<String>,
    /// To which host.
    pub target: Option<String>,
    /// When it was made, as Nova says it (UTC, without a zone).
    pub created: String,
    /// When it last changed.
    pub updated: Option<String>,
}

impl Migration {
    fn read(value: &Value) -> Result<Self, String> {
        Ok(Self {
            id: value.get("id").and_then(Value::as_u64).ok_or("something in it has no `id`")?,
            server: needed(value, "instance_uuid")?,
            kind: text(value, "migration_type").unwrap_or_default(),
            status: needed(value, "status")?.to_ascii_lowercase(),
            source: text(value, "source_compute"),
            target: text(value, "dest_compute"),
            created: text(value, "created_at").unwrap_or_default(),
            updated: text(value, "updated_at"),
        })
    }

    /// Whether it waits for its host to begin with it.
    pub fn is_queued(&self) -> bool {
        matches!(self.status.as_str(), "accepted" | "queued")
    }

    /// How far it is. A word that is not known is no end.
    pub fn stage(&self) -> MoveStage {
        match self.status.as_str() {
            "done" => MoveStage::Done,
            "completed" | "finished" | "confirmed" => MoveStage::Completed,
            "failed" | "error" | "cancelled" | "reverted" => MoveStage::Failed,
            _ => MoveStage::UnderWay,
        }
    }
}

impl OpenStack {
    /// Asks Nova to bring a server back elsewhere because its host is dead: on one host, or where the scheduler likes.
    /// Answers Nova's name for the request; what came of it is in the records.
    pub async fn evacuate(
        &self,
        server: &str,
        target: Option<&str>,
        wakes_up: WakesUp,
    ) -> Result<Option<String>, ApiError> {
        let doing = match target {
            Some(host) => format!("evacuating server {server} to {host}"),
            None => format!("evacuating server {server}"),
        };
        let range = match wakes_up {
            WakesUp::AsItWas => AS_IT_WAS,
            WakesUp::Stopped => STOPPED,
        };
        let version = self.version(&COMPUTE, range, &doing).await?;
        let mut how = Map::new();
        if let Some(host) = target {
            how.insert("host".to_owned(), json!(host));
        }
        self.act(server, json!({"evacuate": how}), version, &doing).await
    }

    /// Asks Nova to move a running server: to one host, or where the scheduler likes.
    pub async fn live_migrate(&self, server: &str, target: Option<&str>) -> Result<Option<String>, ApiError> {
        let doing = match target {
            Some(host) => format!("moving server {server} to {host}"),
            None => format!("moving server {server}"),
        };
        let version = self.version(&COMPUTE, LIVE, &doing).await?;
        let body = json!({"os-migrateLive": {"host": target, "block_migration": "auto"}});
        self.act(server, body, version, &doing).await
    }

    /// Nova's records of evacuations from one host, newest first.
    pub async fn evacuations_from(&self, source: &str) -> Result<Vec<Migration>, ApiError> {
        let query = format!("migration_type=evacuation&source_compute={}", quoted(source));
        self.migrations(&query, &format!("listing the evacuations from {source}")).await
    }

    /// Nova's records of one server's evacuations, newest first.
    pub async fn evacuations_of(&self, server: &str) -> Result<Vec<Migration>, ApiError> {
        let query = format!("migration_type=evacuation&instance_uuid={}", quoted(server));
        self.migrations(&query, &format!("listing the evacuations of server {server}")).await
    }

    /// Nova's records of one server's moves while it ran, newest first.
    pub async fn live_migrations_of(&self, server: &str) -> Result<Vec<Migration>, ApiError> {
        let query = format!("migration_type=live-migration&instance_uuid={}", quoted(server));
        self.migrations(&query, &format!("listing the live migrations of server {server}")).await
    }

    /// All of Nova's records of evacuations, newest first.
    pub async fn evacuations(&self) -> Result<Vec<Migration>, ApiError> {
        self.migrations("migration_type=evacuation", "listing all evacuations").await
    }

    async fn migrations(&self, query: &str, doing: &str) -> Result<Vec<Migration>, ApiError> {
        let version = self.version(&COMPUTE, RECORDS, doing).await?;
        let path = format!("/os-migrations?{query}");
        let mut all = self.nova_list(&path, "migrations", version, doing, Migration::read).await?;
        all.sort_by_key(|record| std::cmp::Reverse(record.id));
        Ok(all)
    }
}
