//! Moves of running instances, as a client of the pretended Nova asks for them and sees them end.
//!
//! It must never ask for a move of an instance that is on its way already, nor call one done before Nova has written it down.

use super::compute::{LOOK_MS, SimCompute, at, parse, why};
use crate::nova::{LiveRequest, NovaError};
use ostler_model::event::{Outcome, Why};
use ostler_model::ids::{HostName, InstanceId};
use ostler_model::step::Job;
use std::time::Duration;

impl SimCompute {
    pub(super) async fn begin_live_move(
        &self,
        instance: &InstanceId,
        source: &HostName,
        target: &HostName,
    ) -> Result<(), Why> {
        let id = parse(instance)?;
        let seen = self.show(id).await.map_err(|error| why(&error))?;
        if seen.host.as_ref() == Some(target) || seen.task_state.is_some() {
            return Ok(());
        }
        if seen.host.as_ref() != Some(source) {
            return Err(Why::new(format!("{} is no longer on {source}: somebody has moved it", seen.name)));
        }
        let request = LiveRequest { host: Some(target.clone()), force: None };
        match self.ask(|ground, now, by| ground.nova.live_migrate(now, by, id, &request)).await {
            Ok(()) | Err(NovaError::Cut(_)) => Ok(()),
            Err(error) => Err(why(&error)),
        }
    }

    pub(super) async fn end_live_move(&self, job: &Job, instance: &InstanceId, target: &HostName) -> Outcome {
        let id = match parse(instance) {
            Ok(id) => id,
            Err(why) => return Outcome::NotDone { why },
        };
        let began = self.0.now();
        while self.0.now() - began <= u64::from(job.limit_s) * 1000 {
            match self.show(id).await {
                Ok(seen) if seen.task_state.is_some() => {}
                Ok(seen) if seen.host.as_ref() == Some(target) => return at(target),
                Ok(seen) => return Outcome::not_done(format!("{} was not moved to {target}", seen.name)),
                Err(NovaError::Gone(text)) => return Outcome::not_done(text),
                Err(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(LOOK_MS)).await;
        }
        Outcome::unknown("it has not ended within its limit")
    }
}
