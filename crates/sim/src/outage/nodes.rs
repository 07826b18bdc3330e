//! The nodes of a pretended compute side behind their seam, as far as a return needs them: their compute process.
//!
//! One that has no power or no network must never answer.

use super::compute::node;
use super::{Outage, wall};
use ostler_engine::seam::{Fut, Nodes};
use ostler_model::event::{Outcome, Why};
use ostler_model::ids::HostName;
use ostler_model::inventory::{Fact, INVENTORY_FORMAT, Inventory};
use ostler_model::step::{Does, Job};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The nodes, as far as a return needs them: their compute process.
pub(super) struct SimComputeNodes(pub(super) Arc<Outage>);

impl Nodes for SimComputeNodes {
    fn survey<'a>(&'a self, _hosts: &'a [HostName], _facts: &'a [Fact]) -> Fut<'a, Inventory> {
        let taken = wall(self.0.now());
        Box::pin(async move {
            Inventory {
                format: INVENTORY_FORMAT,
                cloud: "pretended".into(),
                taken,
                nodes: BTreeMap::new(),
                gaps: Vec::new(),
            }
        })
    }

    fn available<'a>(
        &'a self,
        _host: &'a HostName,
        _source: &'a str,
        _packages: &'a [String],
    ) -> Fut<'a, Result<BTreeMap<String, Vec<String>>, Why>> {
        Box::pin(async { Ok(BTreeMap::new()) })
    }

    fn begin<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<(), Why>> {
        Box::pin(async move {
            let host = node(job)?;
            let mut ground = self.0.ground();
            let now = self.0.now();
            if !ground.nova.host(host).is_some_and(|host| host.power && host.link) {
                return Err(Why::new(format!("{host} does not answer")));
            }
            match &job.does {
                Does::StopUnits { .. } => ground.nova.stop_compute(now, host),
                Does::StartUnits { .. } => ground.nova.start_compute(now, host),
                other => return Err(Why::new(format!("no node here can {}", other.name()))),
            }
            Ok(())
        })
    }

    fn settle<'a>(&'a self, job: &'a Job) -> Fut<'a, Outcome> {
        Box::pin(async move {
            let host = match node(job) {
                Ok(host) => host,
                Err(why) => return Outcome::NotDone { why },
            };
            let ground = self.0.ground();
            let Some(found) = ground.nova.host(host).filter(|host| host.power && host.link) else {
                return Outcome::unknown(format!("{host} does not answer"));
            };
            let stopped = found.compute == crate::nova::Compute::Stopped;
            match stopped == matches!(job.does, Does::StopUnits { .. }) {
                true => Outcome::done(),
                false => Outcome::not_done("the unit is not as it should be"),
            }
        })
    }
}
