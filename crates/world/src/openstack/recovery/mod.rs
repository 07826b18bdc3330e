//! The compute side of the `Cloud` seam: looks, begins and settles what a recovery needs of Nova.
//!
//! A request whose answer was lost is never sent again before Nova was asked what came of it. It must never decide
//! which server moves where, or whether one may.

mod hosts;
mod instances;
mod live;
mod seen;
mod views;

use super::client::OpenStack;
use super::clouds_yaml::Credentials;
use super::error::ApiError;
use super::keystone::{KeystoneCloud, Token};
use super::sample::Sampler;
use ostler_engine::seam::{Called, Cloud, Fut};
use ostler_model::canary::{Act, Acted, NotActed};
use ostler_model::compute::{Compute, Scope};
use ostler_model::event::{Outcome, Why};
use ostler_model::function::{Offer, Question, Sample};
use ostler_model::ids::HostName;
use ostler_model::step::{Call, Does, Job, Target, Through};
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use views::Views;

/// Pause between two looks at something that is under way.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// How long a request whose answer was lost may still take effect: longer than an API's own time-outs (HAProxy and
/// uWSGI cut at a minute by default, and what was cut before it was read has no effect).
const LATE: Duration = Duration::from_secs(60);

/// How long a state that was accepted may take to be seen by the next API server.
const SEEN_WITHIN: Duration = Duration::from_secs(5);

/// A cloud: calls by Keystone's client, everything about servers by Nova.
#[derive(Debug)]
pub struct ComputeSide {
    calls: KeystoneCloud,
    sampler: Sampler,
    api: OpenStack,
    views: Views,
    late: Duration,
}

impl ComputeSide {
    /// A cloud with these credentials; connects to nothing.
    pub fn new(calls: KeystoneCloud, credentials: Credentials) -> Self {
        let sampler = Sampler::new(credentials.clone(), calls.nodes());
        Self { calls, sampler, api: OpenStack::new(credentials), views: Views::new(1), late: LATE }
    }

    /// For a cloud whose load balancers and servers give up earlier or later than by default.
    #[must_use]
    pub fn lost_requests_may_act_for(self, late: Duration) -> Self {
        Self { late, ..self }
    }

    /// For a cloud whose servers move in no time, so that nothing is asked too seldom: every pause is so many times shorter.
    #[must_use]
    pub fn hastened(self, by: u32) -> Self {
        Self { views: Views::new(by), ..self }
    }

    /// The APIs.
    pub fn api(&self) -> &OpenStack {
        &self.api
    }

    async fn start(&self, job: &Job) -> Result<(), Why> {
        match &job.does {
            Does::DisableCompute { reason } => in_doubt_yes(self.disable(node(job)?, reason).await),
            Does::EnableCompute {} => in_doubt_yes(self.enable(node(job)?).await),
            Does::ForceDown {} => in_doubt_yes(self.force_down(node(job)?, true).await),
            Does::ClearForcedDown {} => in_doubt_yes(self.force_down(node(job)?, false).await),
            Does::AwaitComputeUp {} | Does::AwaitCopiesGone {} => Ok(()),
            Does::UseSpare { aggregates } => self.use_spare(node(job)?, aggregates).await,
            Does::GiveBackSpare { aggregates, reason } => {
                self.give_back(node(job)?, aggregates, reason).await
            }
            Does::Evacuate { instance, source, targets, reset, lock } => {
                let target = target_of(targets, job.attempt);
                self.begin_evacuation(instance, source, target, *reset, lock, job.by).await
            }
            Does::Settle { instance, source, state, lock } => {
                let limit = Duration::from_secs(job.limit_s.into());
                in_doubt_yes(self.restore(instance, source, *state, lock, limit).await)
            }
            Does::LiveMigrate { instance, source, target } => {
                self.begin_live_move(instance, source, target).await
            }
            Does::StopInstance { instance, reset } => in_doubt_yes(self.stop(instance, *reset).await),
            Does::StartInstance { instance } => in_doubt_yes(self.start_instance(instance).await),
            other => Err(Why::new(format!("the compute service cannot {}", other.name()))),
        }
    }

    async fn end(&self, job: &Job) -> Outcome {
        let limit = Duration::from_secs(job.limit_s.into());
        let host = || node(job);
        match &job.does {
            Does::Evacuate { instance, source, .. } => self.settle_evacuation(instance, source, limit).await,
            Does::Settle { instance, source, state, lock } => {
                until(limit, SEEN_WITHIN, || self.is_restored(instance, source, *state, lock)).await
            }
            Does::LiveMigrate { instance, target, .. } => {
                until(limit, SEEN_WITHIN, || self.has_moved(instance, target)).await
            }
            Does::StopInstance { instance, .. } => {
                until(limit, SEEN_WITHIN, || self.is_in_state(instance, "stopped")).await
            }
            Does::StartInstance { instance } => {
                until(limit, SEEN_WITHIN, || self.is_in_state(instance, "active")).await
            }
            Does::DisableCompute { .. } => match host() {
                Ok(host) => until(limit, SEEN_WITHIN, || self.is_enabled(host, false)).await,
                Err(why) => Outcome::NotDone { why },
            },
            Does::EnableCompute {} => match host() {
                Ok(host) => until(limit, SEEN_WITHIN, || self.is_enabled(host, true)).await,
                Err(why) => Outcome::NotDone { why },
            },
            Does::ForceDown {} => match host() {
                Ok(host) => until(limit, SEEN_WITHIN, || self.is_forced_down(host, true)).await,
                Err(why) => Outcome::NotDone { why },
            },
            Does::ClearForcedDown {} => match host() {
                Ok(host) => until(limit, SEEN_WITHIN, || self.is_forced_down(host, false)).await,
                Err(why) => Outcome::NotDone { why },
            },
            Does::AwaitComputeUp {} => match host() {
                Ok(host) => until(limit, limit, || self.is_up(host)).await,
                Err(why) => Outcome::NotDone { why },
            },
            Does::AwaitCopiesGone {} => match host() {
                Ok(host) => until(limit, limit, || self.has_no_copies(host)).await,
                Err(why) => Outcome::NotDone { why },
            },
            Does::UseSpare { aggregates } => match host() {
                Ok(host) => until(limit, SEEN_WITHIN, || self.is_in_use(host, aggregates, true)).await,
                Err(why) => Outcome::NotDone { why },
            },
            Does::GiveBackSpare { aggregates, .. } => match host() {
                Ok(host) => until(limit, SEEN_WITHIN, || self.is_in_use(host, aggregates, false)).await,
                Err(why) => Outcome::NotDone { why },
            },
            other => Outcome::not_done(format!("the compute service cannot {}", other.name())),
        }
    }
}

/// How something is that is waited for.
enum Now {
    /// As wanted, with what was learnt.
    So(ostler_model::event::Facts),
    /// On its way.
    Moving(String),
    /// Not as wanted, and nothing moves.
    NotSo(Why),
}

fn so() -> Now {
    Now::So(ostler_model::event::Facts::new())
}

/// Looks until it is so, at most for `limit`. What is not so, and does not move, for as long as `patience` is not done.
async fn until<F, Q>(limit: Duration, patience: Duration, mut look: F) -> Outcome
where
    F: FnMut() -> Q,
    Q: Future<Output = Result<Now, ApiError>>,
{
    let begun = Instant::now();
    let mut still_since: Option<Instant> = None;
    loop {
        let why = match look().await {
            Ok(Now::So(facts)) => return Outcome::Done { facts },
            Ok(Now::NotSo(why)) => {
                let since = *still_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= patience || begun.elapsed() >= limit {
                    return Outcome::NotDone { why };
                }
                why
            }
            Ok(Now::Moving(what)) => {
                still_since = None;
                Why::new(what)
            }
            // Also what will not pass by itself says nothing about the effect.
            Err(error) => {
                if !error.may_pass() {
                    return Outcome::Unknown { why: error.why() };
                }
                error.why()
            }
        };
        if begun.elapsed() >= limit {
            return Outcome::Unknown { why };
        }
        sleep(LOOK_PAUSE).await;
    }
}

/// `Err` only where it is known that nothing was changed.
fn in_doubt_yes(done: Result<(), ApiError>) -> Result<(), Why> {
    match done {
        Err(error) if error.changed_nothing() => Err(error.why()),
        _ => Ok(()),
    }
}

fn node(job: &Job) -> Result<&HostName, Why> {
    match &job.on {
        Target::Node(host) => Ok(host),
        Target::Cloud => Err(Why::new(format!("{} is done to one node, and none is named", job.does.name()))),
    }
}

/// Where an attempt aims: the last entry stands for all that follow.
fn target_of(targets: &[Option<HostName>], attempt: u16) -> Option<&HostName> {
    let at = usize::from(attempt.saturating_sub(1)).min(targets.len().saturating_sub(1));
    targets.get(at).and_then(Option::as_ref)
}

impl Cloud for ComputeSide {
    fn call<'a>(&'a self, through: &'a Through, calls: &'a [Call]) -> Fut<'a, Result<Called, Why>> {
        self.calls.call(through, calls)
    }

    fn offers(&self) -> Fut<'_, Result<Vec<Offer>, Why>> {
        Box::pin(async move { self.api.offers().await.map_err(|error| error.why()) })
    }

    fn sample<'a>(&'a self, question: &'a Question) -> Fut<'a, Sample> {
        let token = async {
            let session = self.api.session().await.map_err(|error| error.to_string())?;
            Ok((Token::lent(session.token.clone()), session.project.clone()))
        };
        Box::pin(self.sampler.sample(&self.calls, question, token))
    }

    fn act<'a>(&'a self, act: &'a Act) -> Fut<'a, Result<Acted, NotActed>> {
        Box::pin(self.canary(act))
    }

    fn look<'a>(&'a self, scope: &'a Scope) -> Fut<'a, Result<Compute, Why>> {
        Box::pin(async move { self.see(scope).await.map_err(|error| error.why()) })
    }

    fn begin<'a>(&'a self, job: &'a Job) -> Fut<'a, Result<(), Why>> {
        Box::pin(self.start(job))
    }

    fn settle<'a>(&'a self, job: &'a Job) -> Fut<'a, Outcome> {
        Box::pin(self.end(job))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_target_stands_for_all_that_follow() {
        let targets = [Some(HostName::new("a")), Some(HostName::new("b")), None];
        let of = |attempt| target_of(&targets, attempt).map(HostName::as_str);
        assert_eq!((of(1), of(2), of(3), of(9)), (Some("a"), Some("b"), None, None));
        assert_eq!(target_of(&[], 1), None);
        assert_eq!(target_of(&targets[..1], 0).map(HostName::as_str), Some("a"));
    }
}
