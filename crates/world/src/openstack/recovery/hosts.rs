//! Compute services and spares: disabled, declared down, put to use and given back.
//!
//! It must never touch another service of the same host.

use super::super::error::ApiError;
use super::super::nova::ComputeService;
use super::{ComputeSide, Now, SEEN_WITHIN, so};
use ostler_model::compute::MoveStage;
use ostler_model::event::Why;
use ostler_model::ids::HostName;
use std::time::Duration;

/// How long a service's name is known from the answer to its last change: as long as a fence takes.
const NAMED_FOR: Duration = Duration::from_secs(60);

/// The program that runs servers.
pub(super) const COMPUTE: &str = "nova-compute";

impl ComputeSide {
    /// The compute service of a host. Its absence is said like a refusal: nothing was changed.
    async fn service(&self, host: &HostName) -> Result<ComputeService, ApiError> {
        let found = self.api.compute_services(Some(host.as_str())).await?;
        found
            .into_iter()
            .find(|service| service.binary == COMPUTE && service.host == host.as_str())
            .ok_or_else(|| ApiError::Answered {
                doing: format!("looking for {COMPUTE} on {host}"),
                status: 404,
                words: format!("Nova knows no {COMPUTE} on a host of exactly this name"),
                request: None,
            })
    }

    pub(super) async fn disable(&self, host: &HostName, reason: &str) -> Result<(), ApiError> {
        let service = self.service(host).await?;
        if !service.is_enabled {
            return Ok(());
        }
        self.changed(host, self.api.disable_service(&service, reason).await)
    }

    pub(super) async fn enable(&self, host: &HostName) -> Result<(), ApiError> {
        let service = self.service(host).await?;
        if service.is_enabled {
            return Ok(());
        }
        self.changed(host, self.api.enable_service(&service).await)
    }

    pub(super) async fn force_down(&self, host: &HostName, is_down: bool) -> Result<(), ApiError> {
        // It was disabled a moment ago: its name is known, and to say once more that it is down changes nothing.
        if let Some(service) = self.views.last_answer(host, NAMED_FOR) {
            return self.changed(host, self.api.force_service_down(&service, is_down).await);
        }
        let service = self.service(host).await?;
        if service.is_forced_down == is_down {
            return Ok(());
        }
        self.changed(host, self.api.force_service_down(&service, is_down).await)
    }

    /// Nova answers a change of a service with what the service is then: that is as good as a look.
    fn changed(&self, host: &HostName, answer: Result<ComputeService, ApiError>) -> Result<(), ApiError> {
        self.views.answered(host, answer.as_ref().ok());
        answer.map(|_| ())
    }

    pub(super) async fn is_enabled(&self, host: &HostName, wanted: bool) -> Result<Now, ApiError> {
        if self.views.last_answer(host, SEEN_WITHIN).is_some_and(|service| service.is_enabled == wanted) {
            return Ok(so());
        }
        let service = self.service(host).await?;
        if service.is_enabled == wanted {
            return Ok(so());
        }
        let word = if wanted { "disabled" } else { "enabled" };
        Ok(Now::NotSo(Why::new(format!("{COMPUTE} on {host} is {word}"))))
    }

    pub(super) async fn is_forced_down(&self, host: &HostName, wanted: bool) -> Result<Now, ApiError> {
        if self.views.last_answer(host, SEEN_WITHIN).is_some_and(|service| service.is_forced_down == wanted) {
            return Ok(so());
        }
        let service = self.service(host).await?;
        if service.is_forced_down == wanted {
            return Ok(so());
        }
        let word = if wanted { "is not declared down" } else { "is still declared down" };
        Ok(Now::NotSo(Why::new(format!("{COMPUTE} on {host} {word}"))))
    }

    pub(super) async fn is_up(&self, host: &HostName) -> Result<Now, ApiError> {
        let service = self.service(host).await?;
        if service.is_up {
            return Ok(so());
        }
        let why = match service.is_forced_down {
            true => Why::new(format!(
                "{COMPUTE} on {host} is declared down, so it counts as down whatever it reports"
            )),
            false => Why::new(format!("{COMPUTE} on {host} does not report"))
                .hint(format!("see whether it runs there: `systemctl status {COMPUTE}`")),
        };
        Ok(Now::NotSo(why))
    }

    pub(super) async fn has_no_copies(&self, host: &HostName) -> Result<Now, ApiError> {
        let records = self.api.evacuations_from(host.as_str()).await?;
        let left = records
            .iter()
            .filter(|record| matches!(record.stage(), MoveStage::Done | MoveStage::UnderWay))
            .count();
        if left == 0 {
            return Ok(so());
        }
        Ok(Now::NotSo(
            Why::new(format!("{host} has not removed its copies of {left} evacuated instances"))
                .hint(format!("{COMPUTE} removes them when it starts: restart it on {host}")),
        ))
    }

    pub(super) async fn use_spare(&self, host: &HostName, aggregates: &[String]) -> Result<(), Why> {
        // A plan may wait long for its proof: meanwhile a reserved host may have failed, and what has failed stays disabled.
        let service = self.service(host).await.map_err(|error| error.why())?;
        if !service.is_up || service.is_forced_down {
            return Err(Why::new(format!("the reserved host {host} is down itself")));
        }
        let mut has_begun = false;
        let done = async {
            for aggregate in self.api.aggregates().await? {
                let is_member = aggregate.hosts.iter().any(|member| member == host.as_str());
                if aggregates.contains(&aggregate.name) && !is_member {
                    self.api.add_to_aggregate(&aggregate, host.as_str()).await?;
                    has_begun = true;
                }
            }
            self.enable(host).await
        };
        let done: Result<(), ApiError> = done.await;
        match done {
            Err(error) if error.changed_nothing() && !has_begun => Err(error.why()),
            _ => Ok(()),
        }
    }

    pub(super) async fn give_back(
        &self,
        host: &HostName,
        aggregates: &[String],
        reason: &str,
    ) -> Result<(), Why> {
        super::in_doubt_yes(self.disable(host, reason).await)?;
        let done = async {
            for aggregate in self.api.aggregates().await? {
                let is_member = aggregate.hosts.iter().any(|member| member == host.as_str());
                if aggregates.contains(&aggregate.name) && is_member {
                    self.api.remove_from_aggregate(&aggregate, host.as_str()).await?;
                }
            }
            Ok::<(), ApiError>(())
        };
        // It is disabled: what is left to do is seen when it is settled.
        let _seen_later = done.await;
        Ok(())
    }

    pub(super) async fn is_in_use(
        &self,
        host: &HostName,
        aggregates: &[String],
        wanted: bool,
    ) -> Result<Now, ApiError> {
        let service = self.service(host).await?;
        if service.is_enabled != wanted {
            let word = if wanted { "still disabled" } else { "still enabled" };
            return Ok(Now::NotSo(Why::new(format!("{COMPUTE} on {host} is {word}"))));
        }
        let all = self.api.aggregates().await?;
        let is_in = |name: &String| {
            let mut named = all.iter().filter(|aggregate| aggregate.name == *name);
            named.any(|aggregate| aggregate.hosts.iter().any(|member| member == host.as_str()))
        };
        match aggregates.iter().find(|name| is_in(name) != wanted) {
            None => Ok(so()),
            Some(name) => {
                let word = if wanted { "not in" } else { "still in" };
                Ok(Now::NotSo(Why::new(format!("{host} is {word} the aggregate {name}"))))
            }
        }
    }
}
