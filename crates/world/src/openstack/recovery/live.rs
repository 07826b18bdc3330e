//! Servers that are moved while they run.
//!
//! It must never ask for a move of a server that is on its way already, or that is not where it was said to be.

use super::super::error::ApiError;
use super::super::nova::Server;
use super::{ComputeSide, Now, in_doubt_yes};
use ostler_model::event::{Facts, Why};
use ostler_model::ids::{HostName, InstanceId};

impl ComputeSide {
    /// Asks for the move, unless it is under way or over.
    pub(super) async fn begin_live_move(
        &self,
        instance: &InstanceId,
        source: &HostName,
        target: &HostName,
    ) -> Result<(), Why> {
        let found = self.api.server(instance.as_str()).await.map_err(|error| error.why())?;
        let server = found.ok_or_else(|| gone(instance))?;
        if is_on(&server, target) || server.task_state.is_some() {
            return Ok(());
        }
        if !is_on(&server, source) {
            let host = server.host.as_deref().unwrap_or("no host");
            return Err(Why::new(format!(
                "instance {instance} is on {host} and no longer on {source}: somebody has moved it"
            )));
        }
        let asked = self.api.live_migrate(instance.as_str(), Some(target.as_str())).await;
        in_doubt_yes(asked.map(|_| ()))
    }

    /// Nova takes the task off a server after it has written down where it is.
    pub(super) async fn has_moved(&self, instance: &InstanceId, target: &HostName) -> Result<Now, ApiError> {
        let Some(server) = self.api.server(instance.as_str()).await? else {
            return Ok(Now::NotSo(gone(instance)));
        };
        if let Some(task) = &server.task_state {
            return Ok(Now::Moving(format!("instance {instance} is {task}")));
        }
        if is_on(&server, target) {
            return Ok(Now::So(Facts::from([("host".to_owned(), target.to_string())])));
        }
        let records = self.api.live_migrations_of(instance.as_str()).await?;
        let host = server.host.as_deref().unwrap_or("no host");
        let mut what = format!("instance {instance} is still on {host}");
        if let Some(record) =
            records.first().filter(|record| record.target.as_deref() == Some(target.as_str()))
        {
            what.push_str(&format!(": its live migration to {target} ended as {}", record.status));
        }
        if let Some(fault) = &server.fault {
            what.push_str(&format!("; {fault}"));
        }
        Ok(Now::NotSo(Why::new(what).hint(format!("see why: `openstack server event list {instance}`"))))
    }
}

fn is_on(server: &Server, host: &HostName) -> bool {
    server.host.as_deref() == Some(host.as_str())
}

fn gone(instance: &InstanceId) -> Why {
    Why::new(format!("instance {instance} is gone: it was deleted"))
}
