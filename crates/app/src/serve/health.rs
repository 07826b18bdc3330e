//! Looks at the health of the cloud again and again, for who scrapes and for who is told of events.
//!
//! One server does so at a time, by a lease; the others show nothing of it. A look that fails is told and followed by the next
//! one. It must never end the server, nor ask faster than a look by hand would.

use super::figures::Figures;
use crate::context::Context;
use crate::failure::Failure;
use crate::settings::{CloudSettings, Events, HealthLooks};
use crate::words::health::{Looking, Receivers, judged_of, library, metrics};
use jiff::SignedDuration;
use ostler_engine::health::Library;
use ostler_engine::run::{LeaseError, take};
use ostler_engine::seam::{Lease, Store};

/// How long a look may take beyond the pause before the next one: then another server may take over.
const LOOK_S: i64 = 600;

/// Who looks, at what, and who is told.
pub struct Looker {
    cloud: CloudSettings,
    library: Library,
    looking: Looking,
    receivers: Receivers,
    every_s: u32,
}

impl Looker {
    /// Reads what it needs; whatever is wrong is said here.
    pub fn prepare(context: &Context, wanted: &HealthLooks, events: &Events) -> Result<Looker, Failure> {
        let cloud = match (&wanted.cloud, context.settings()?) {
            (Some(name), Some(settings)) => settings.cloud(Some(name))?,
            _ => context.cloud()?,
        };
        Ok(Looker {
            cloud: cloud.clone(),
            library: library(context)?,
            looking: Looking { fast: wanted.fast, deep: false, rate: wanted.rate },
            receivers: Receivers::settled(events, wanted.every_s)?,
            every_s: wanted.every_s,
        })
    }

    /// Looks for as long as the server lives.
    pub async fn look_again_and_again(&self, context: &Context, figures: &Figures) {
        let mut lease: Option<Lease> = None;
        let mut complained = false;
        loop {
            match self.turn(context, figures, &mut lease).await {
                Ok(complaints) => {
                    complained = false;
                    for complaint in complaints {
                        context.printer.progress_line(&format!("health: {complaint}"));
                    }
                }
                Err(failure) => {
                    figures.looked(None);
                    // Once for each time that it goes wrong.
                    if !std::mem::replace(&mut complained, true) {
                        context
                            .printer
                            .progress_line(&format!("the health of the cloud was not looked at: {failure}"));
                    }
                }
            }
            context.clock().sleep(u64::from(self.every_s) * 1_000).await;
        }
    }

    /// One look, if it is this server's turn. Answers who was not told.
    async fn turn(
        &self,
        context: &Context,
        figures: &Figures,
        lease: &mut Option<Lease>,
    ) -> Result<Vec<String>, Failure> {
        let store = context.store().await?;
        if !self.holds(context, store.as_ref(), lease).await? {
            return Ok(Vec::new());
        }
        let seen = judged_of(context, &self.library, &self.cloud, &self.looking).await?;
        figures.looked(Some(metrics(&seen.report)));
        match &seen.memory {
            Some(memory) => self.receivers.tell(store.as_ref(), context.clock(), &seen.report, memory).await,
            None => Ok(Vec::new()),
        }
    }

    async fn holds(
        &self,
        context: &Context,
        store: &dyn Store,
        lease: &mut Option<Lease>,
    ) -> Result<bool, Failure> {
        let until = || context.clock().now() + SignedDuration::from_secs(i64::from(self.every_s) + LOOK_S);
        let held = match lease.take() {
            Some(held) if store.renew_lease(&held, until()).await? => held,
            _ => {
                let name = format!("health/{}", self.cloud.cloud.name);
                let (owner, is_gone) = (context.lease_owner(), context.is_gone());
                match take(store, context.clock(), &name, &owner, is_gone.as_ref()).await {
                    Ok(taken) => {
                        store.renew_lease(&taken, until()).await?;
                        taken
                    }
                    Err(LeaseError::Held { .. }) => return Ok(false),
                    Err(LeaseError::Store(error)) => return Err(error.into()),
                }
            }
        };
        *lease = Some(held);
        Ok(true)
    }
}
