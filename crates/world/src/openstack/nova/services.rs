//! Nova's processes: which are there, which take new servers, which count as down.
//!
//! It must never name a service by its number in the database: two cells may have the same.

use super::super::catalogue::COMPUTE;
use super::super::client::OpenStack;
use super::super::error::ApiError;
use super::super::reading::{needed, quoted, text, truth};
use super::super::version::Range;
use super::since;
use reqwest::Method;
use serde_json::{Value, json};

/// Services are named by UUID since this version.
const BY_UUID: Range = since(53);

/// Longest reason that Nova keeps.
const REASON_CHARS_MAX: usize = 255;

/// One of Nova's processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComputeService {
    /// Its UUID.
    pub id: String,
    /// The program: `nova-compute`, `nova-conductor`, …
    pub binary: String,
    /// The host, by the name that Nova has for it.
    pub host: String,
    /// The availability zone.
    pub zone: Option<String>,
    /// Whether it may be given new servers.
    pub is_enabled: bool,
    /// Why not.
    pub disabled_reason: Option<String>,
    /// Whether Nova counts it as up.
    pub is_up: bool,
    /// Whether somebody said that it is down, whatever it reports.
    pub is_forced_down: bool,
    /// When it last reported, as Nova says it.
    pub reported: Option<String>,
}

impl ComputeService {
    fn read(value: &Value) -> Result<Self, String> {
        Ok(Self {
            id: needed(value, "id")?,
            binary: needed(value, "binary")?,
            host: needed(value, "host")?,
            zone: text(value, "zone"),
            is_enabled: text(value, "status").as_deref() == Some("enabled"),
            disabled_reason: text(value, "disabled_reason"),
            is_up: text(value, "state").as_deref() == Some("up"),
            is_forced_down: truth(value, "forced_down"),
            reported: text(value, "updated_at"),
        })
    }
}

impl OpenStack {
    /// Nova's processes, on every host or on one.
    pub async fn compute_services(&self, host: Option<&str>) -> Result<Vec<ComputeService>, ApiError> {
        let doing = "listing Nova's services";
        let version = self.version(&COMPUTE, BY_UUID, doing).await?;
        let path = match host {
            Some(host) => format!("/os-services?host={}", quoted(host)),
            None => "/os-services".to_owned(),
        };
        self.nova_list(&path, "services", version, doing, ComputeService::read).await
    }

    /// Lets a service take no new servers, and says why.
    pub async fn disable_service(
        &self,
        service: &ComputeService,
        reason: &str,
    ) -> Result<ComputeService, ApiError> {
        let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
        let doing = format!("disabling {} on {}", service.binary, service.host);
        self.change_service(service, json!({"status": "disabled", "disabled_reason": reason}), &doing).await
    }

    /// Lets a service take new servers.
    pub async fn enable_service(&self, service: &ComputeService) -> Result<ComputeService, ApiError> {
        let doing = format!("enabling {} on {}", service.binary, service.host);
        self.change_service(service, json!({"status": "enabled"}), &doing).await
    }

    /// Says that a service is down, whatever it reports, or takes that back.
    pub async fn force_service_down(
        &self,
        service: &ComputeService,
        is_down: bool,
    ) -> Result<ComputeService, ApiError> {
        let words = if is_down { "forcing down" } else { "no longer forcing down" };
        let doing = format!("{words} {} on {}", service.binary, service.host);
        self.change_service(service, json!({"forced_down": is_down}), &doing).await
    }

    /// Says that a service is down and lets it take no new servers, in one request.
    pub async fn set_service_aside(
        &self,
        service: &ComputeService,
        reason: &str,
    ) -> Result<ComputeService, ApiError> {
        let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
        let doing = format!("setting aside {} on {}", service.binary, service.host);
        let body = json!({"status": "disabled", "disabled_reason": reason, "forced_down": true});
        self.change_service(service, body, &doing).await
    }

    async fn change_service(
        &self,
        service: &ComputeService,
        body: Value,
        doing: &str,
    ) -> Result<ComputeService, ApiError> {
        let version = self.version(&COMPUTE, BY_UUID, doing).await?;
        let path = format!("/os-services/{}", quoted(&service.id));
        let reply = self.nova(Method::PUT, &path, version, Some(body), doing).await?;
        let changed = reply.body.get("service").ok_or_else(|| "it holds no `service`".to_owned());
        changed.and_then(ComputeService::read).map_err(|what| ApiError::Odd {
            doing: doing.to_owned(),
            what,
            request: reply.request,
        })
    }
}
