//! Servers of a dead host: locked, evacuated, given back the state that they had.
//!
//! It must never send an evacuation while another one of the same server may be under way, and never open a lock that
//! somebody else put on.

use super::super::error::ApiError;
use super::super::nova::{Migration, Server, WakesUp};
use super::views::Sent;
use super::{ComputeSide, LOOK_PAUSE, Now, SEEN_WITHIN, in_doubt_yes, so};
use ostler_model::Timestamp;
use ostler_model::compute::MoveStage;
use ostler_model::event::{Facts, Outcome, Why};
use ostler_model::ids::{HostName, InstanceId};
use ostler_model::step::Wanted;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How old the list of a host's servers may be when an evacuation begins. What may change meanwhile is a user's lock;
/// whether somebody moves the server is in the list of evacuations, and Nova itself refuses one that has left the host.
const SERVERS_AGE_MAX: Duration = Duration::from_secs(30);

/// How old the list of evacuations may be when one begins.
const RECORDS_AGE_MAX: Duration = Duration::from_secs(3);

/// How long an evacuation may wait in Nova's queues beside its own limit: a full host's servers that go to one target eight
/// at a time, a minute each.
const QUEUED_MAX: Duration = Duration::from_secs(900);

/// From how many evacuations to one host on the list of its servers is asked for, and not each server by its own name. A list
/// holds everything that runs there, most of which nobody waits for: where a host's instances are spread over a large cloud, lists
/// would be a hundred times what is asked after.
const LISTED_FROM: usize = 4;

/// From when on it is asked whether a person has reset a server that is on its way, and how old that look may be.
const RESET_ASKED_AFTER: Duration = Duration::from_secs(120);
const RESET_AGE_MAX: Duration = Duration::from_secs(30);

/// Where a server is, and the newest record of its evacuation.
struct Found {
    server: Option<Server>,
    newest: Option<Migration>,
}

impl Found {
    /// Whether it is on another host than the dead one.
    fn has_left(&self, source: &HostName) -> Option<String> {
        let host = self.server.as_ref()?.host.as_ref()?;
        (host != source.as_str()).then(|| host.clone())
    }
}

impl ComputeSide {
    /// Looks a server up, by lists that are shared as far as they reach.
    async fn find(
        &self,
        instance: &InstanceId,
        source: &HostName,
        servers_since: Instant,
        records_since: Instant,
    ) -> Result<Found, ApiError> {
        let records = self.views.evacuations(&self.api, source, records_since).await?;
        let newest = records.iter().find(|record| record.server == instance.as_str()).cloned();
        let target = newest.as_ref().filter(|record| record.stage() != MoveStage::Failed);
        let target = target.and_then(|record| record.target.as_deref());
        let mut places = vec![source.clone()];
        if let Some(target) = target {
            let comes = |record: &&Migration| record.target.as_deref() == Some(target);
            match records.iter().filter(comes).take(LISTED_FROM).count() {
                LISTED_FROM => places.insert(0, HostName::new(target)),
                _ => places.clear(),
            }
        }
        for place in places {
            let servers = self.views.servers(&self.api, &place, servers_since).await?;
            if let Some(server) = servers.iter().find(|server| server.id == instance.as_str()) {
                return Ok(Found { server: Some(server.clone()), newest });
            }
        }
        Ok(Found { server: self.api.server(instance.as_str()).await?, newest })
    }

    /// The same for a server that was locked to be moved, with all that have moved meanwhile. Records only say where to
    /// look: where they are behind, the server is asked for by its own name.
    async fn find_locked(
        &self,
        instance: &InstanceId,
        source: &HostName,
        since: Instant,
    ) -> Result<Found, ApiError> {
        let records_since = self.views.born();
        match self.views.locked(&self.api, instance.as_str(), since).await? {
            None => self.find(instance, source, since, records_since).await,
            server => {
                let records = self.views.evacuations(&self.api, source, records_since).await?;
                let newest = records.iter().find(|record| record.server == instance.as_str()).cloned();
                Ok(Found { server, newest })
            }
        }
    }

    pub(super) async fn begin_evacuation(
        &self,
        instance: &InstanceId,
        source: &HostName,
        target: Option<&HostName>,
        reset: bool,
        lock: &str,
        by: Option<Timestamp>,
    ) -> Result<(), Why> {
        let now = Instant::now();
        let last = self.views.last_sent(instance);
        // Nothing older than what this process itself did to the server.
        let since = |age: Duration| {
            let oldest = now.checked_sub(self.views.pause(age)).unwrap_or(now);
            last.map_or(oldest, |last| last.at.max(oldest))
        };
        let (servers, records) = (since(SERVERS_AGE_MAX), since(RECORDS_AGE_MAX));
        let found = self.find(instance, source, servers, records).await;
        let found = found.map_err(|error| error.why())?;
        let Some(server) = &found.server else { return Ok(()) };
        if found.has_left(source).is_some() {
            return Ok(());
        }
        // Of one that is under way only a look of now can say that it was reset: an older one may be from before it began.
        if let Some(stage) = found.newest.as_ref().map(Migration::stage).filter(may_go_on) {
            let now = self.api.server(instance.as_str()).await.map_err(|error| error.why())?;
            let here = now.filter(|now| now.host.as_deref() == Some(source.as_str()));
            let goes_on = |now: &Server| match stage {
                MoveStage::UnderWay => now.task_state.is_some(),
                _ => is_rebuilt(now) && is_ours(now, lock),
            };
            if here.is_none_or(|now| goes_on(&now)) {
                return Ok(());
            }
        }
        if !server.is_locked {
            self.known(self.api.lock_server(instance.as_str(), lock).await)?;
        }
        if reset && server.vm_state != "error" {
            self.known(self.api.reset_server(instance.as_str(), true).await)?;
        }
        // Whoever was stopped on the way, or waited too long for an answer, relies on no proof of power off from before.
        if by.is_some_and(|by| Timestamp::now() > by) {
            return Err(Why::new(format!(
                "it took too long to come to {instance}: its host is looked at anew"
            )));
        }
        let before = found.newest.map_or(0, |record| record.id);
        // Remembered before it is sent: whatever happens, no view from before counts any more.
        self.views.sent(instance, Sent { at: Instant::now(), before, is_accepted: false });
        let target = target.map(HostName::as_str);
        let answered = self.api.evacuate(instance.as_str(), target, WakesUp::AsItWas).await;
        let is_accepted = answered.is_ok();
        self.views.sent(instance, Sent { at: Instant::now(), before, is_accepted });
        in_doubt_yes(answered.map(|_| ()))
    }

    /// A lock or reset that failed leaves the evacuation unsent, whatever became of it itself.
    fn known(&self, done: Result<Option<String>, ApiError>) -> Result<(), Why> {
        done.map(|_| ()).map_err(|error| error.why())
    }

    pub(super) async fn settle_evacuation(
        &self,
        instance: &InstanceId,
        source: &HostName,
        limit: Duration,
    ) -> Outcome {
        let begun = Instant::now();
        let last = self.views.last_sent(instance);
        // A view counts that was asked for after the request, or, where another process sent it, after now.
        let mut since = last.map_or(begun, |last| last.at);
        if let Some(sent) = last.filter(|sent| sent.is_accepted) {
            self.until_it_may_be_over(instance, source, sent, begun + limit).await;
        }
        // The limit is for the move itself: what Nova does for others before it begins with this one does not count.
        let mut worked_on_since = Some(begun);
        loop {
            let why = match self.evacuated(instance, source, since, last, begun).await {
                Ok(Ended::Yes(outcome)) => return outcome,
                Ok(Ended::Queued(what)) => {
                    worked_on_since = None;
                    Why::new(what)
                }
                Ok(Ended::NotYet(what)) => {
                    worked_on_since.get_or_insert_with(Instant::now);
                    Why::new(what)
                }
                Err(error) if error.may_pass() => error.why(),
                Err(error) => return Outcome::Unknown { why: error.why() },
            };
            let is_too_long = match worked_on_since {
                Some(since) => since.elapsed() >= limit,
                None => begun.elapsed() >= limit + QUEUED_MAX,
            };
            if is_too_long {
                return Outcome::Unknown { why };
            }
            sleep(self.views.pause(LOOK_PAUSE).min(limit)).await;
            since = Instant::now();
        }
    }

    /// Nobody asks for what cannot be over yet, by what others took; what another one's look has shown counts at once.
    async fn until_it_may_be_over(
        &self,
        instance: &InstanceId,
        source: &HostName,
        sent: Sent,
        at_most: Instant,
    ) {
        let due = (sent.at + self.views.not_before()).min(at_most);
        while Instant::now() < due {
            let seen = self.views.last_evacuations(source, sent.at);
            let ended = |record: &Migration| {
                record.server == instance.as_str()
                    && record.id > sent.before
                    && record.stage() != MoveStage::UnderWay
            };
            if seen.is_some_and(|records| records.iter().any(ended)) {
                return;
            }
            sleep(self.views.pause(LOOK_PAUSE)).await;
        }
    }

    async fn evacuated(
        &self,
        instance: &InstanceId,
        source: &HostName,
        since: Instant,
        last: Option<Sent>,
        begun: Instant,
    ) -> Result<Ended, ApiError> {
        let records = self.views.evacuations(&self.api, source, since).await?;
        let newest = records.iter().find(|record| record.server == instance.as_str());
        if let Some(record) = newest.filter(|record| record.stage() == MoveStage::UnderWay) {
            if self.was_reset(instance, source, last.map_or(begun, |last| last.at)).await? {
                let what = format!(
                    "the state of {instance} was reset while its evacuation was {}: that one is lost",
                    record.status
                );
                return Ok(Ended::Yes(Outcome::not_done(what)));
            }
            let to = record.target.as_deref().unwrap_or("a host not chosen yet");
            let what = format!("the evacuation of {instance} to {to} is {}", record.status);
            return Ok(if record.is_queued() { Ended::Queued(what) } else { Ended::NotYet(what) });
        }
        // Nova calls an evacuation done only after it has written down that the server is on its new host, in its last state;
        // completed it may be called by a source that came back in the middle. It is looked at once more before it is settled, together with all that have moved meanwhile.
        let ours = |record: &&Migration| last.is_some_and(|last| last.is_accepted && record.id > last.before);
        if let Some((record, to)) =
            newest.filter(ours).and_then(|record| Some((record, record.target.as_ref()?)))
            && record.stage() == MoveStage::Done
        {
            let facts = Facts::from([
                ("host".to_owned(), to.clone()),
                ("migration".to_owned(), record.id.to_string()),
            ]);
            self.views.took(last.map_or(Duration::ZERO, |last| last.at.elapsed()));
            self.views.sent(instance, Sent { at: Instant::now(), before: record.id, is_accepted: false });
            return Ok(Ended::Yes(Outcome::Done { facts }));
        }
        let found = self.find(instance, source, since, since).await?;
        let Some(server) = &found.server else {
            return Ok(Ended::Yes(Outcome::not_done(format!("instance {instance} is gone: it was deleted"))));
        };
        if found.newest.as_ref().is_some_and(|record| record.stage() == MoveStage::UnderWay) {
            return Ok(Ended::NotYet(format!("the evacuation of {instance} is under way")));
        }
        if let Some(host) = found.has_left(source) {
            let mut facts = Facts::from([("host".to_owned(), host)]);
            if let Some(record) = &found.newest {
                facts.insert("migration".to_owned(), record.id.to_string());
            }
            return Ok(Ended::Yes(Outcome::Done { facts }));
        }
        // On the old host, and nothing under way: it failed, or it has not begun.
        let ours = |record: &Migration| last.is_some_and(|last| record.id > last.before);
        if let Some(record) = found.newest.as_ref().filter(|record| ours(record)) {
            return Ok(match record.stage() {
                MoveStage::Failed => Ended::Yes(Outcome::NotDone { why: failed(instance, server, record) }),
                MoveStage::Completed if !is_rebuilt(server) => Ended::Yes(Outcome::not_done(format!(
                    "{source} came back and ended the evacuation of {instance}, which is still there"
                ))),
                // The record was written before the server's new place could be seen.
                _ => Ended::NotYet(format!(
                    "the evacuation of {instance} is {}, its host not yet",
                    record.status
                )),
            });
        }
        if server.task_state.is_some() {
            return Ok(Ended::NotYet(format!(
                "instance {instance} is {}",
                server.task_state.as_deref().unwrap_or_default()
            )));
        }
        let patience = match last {
            // An accepted request has its record at once.
            Some(Sent { is_accepted: true, .. }) => SEEN_WITHIN,
            // Whoever asks for an evacuation locks the instance before: where there is no lock, nobody has come so far.
            None if !server.is_locked => SEEN_WITHIN,
            _ => self.late,
        };
        let waited = last.map_or(begun, |last| last.at).elapsed();
        if waited < patience {
            return Ok(Ended::NotYet(format!("no evacuation of {instance} is seen yet")));
        }
        let what = format!("Nova knows of no new evacuation of {instance}, and it is still on {source}");
        Ok(Ended::Yes(Outcome::not_done(what)))
    }

    /// Whether a person has reset a server of which an evacuation is under way. Nova ends a record before the server's task, and
    /// sets the task before it makes one: where there is a record and no task, nobody goes on with it. Seldom asked, by one list
    /// for all.
    async fn was_reset(
        &self,
        instance: &InstanceId,
        source: &HostName,
        sent: Instant,
    ) -> Result<bool, ApiError> {
        if sent.elapsed() < self.views.pause(RESET_ASKED_AFTER) {
            return Ok(false);
        }
        let since = Instant::now().checked_sub(self.views.pause(RESET_AGE_MAX)).unwrap_or(sent).max(sent);
        let servers = self.views.servers(&self.api, source, since).await?;
        let server = servers.iter().find(|server| server.id == instance.as_str());
        Ok(server.is_some_and(|server| server.task_state.is_none()))
    }

    /// Gives a server the state that it had, and its owner's access.
    pub(super) async fn restore(
        &self,
        instance: &InstanceId,
        source: &HostName,
        state: Wanted,
        lock: &str,
        limit: Duration,
    ) -> Result<(), ApiError> {
        let _of_an_earlier_round = self.views.take_restored(instance);
        let now = Instant::now();
        let since = self.views.last_sent(instance).map_or(now, |last| last.at);
        let found = self.find_locked(instance, source, since).await?;
        let Some(server) = &found.server else { return Ok(()) };
        let id = instance.as_str();
        let note = || {
            let before = found.newest.as_ref().map_or(0, |record| record.id);
            self.views.sent(instance, Sent { at: Instant::now(), before, is_accepted: false });
        };
        if found.has_left(source).is_some() {
            match (state, server.vm_state.as_str()) {
                (Wanted::Active, "stopped") => {
                    self.api.start_server(id).await?;
                    note();
                }
                (Wanted::Stopped, "active") => {
                    self.api.stop_server(id).await?;
                    note();
                }
                (Wanted::Error, "active") => {
                    self.api.stop_server(id).await?;
                    note();
                    self.await_stopped(id, limit).await?;
                    self.api.reset_server(id, true).await?;
                    note();
                }
                (Wanted::Error, "stopped") => {
                    self.api.reset_server(id, true).await?;
                    note();
                }
                _ => {}
            }
        }
        if is_ours(server, lock) {
            self.api.unlock_server(id).await?;
            note();
        }
        // Nova takes a lock off before it answers: nothing is left to be looked at where the state was right already.
        if let (Some(host), Now::So(_)) =
            (found.has_left(source), in_state(server, word(state), Facts::new()))
        {
            self.views.restored(instance, host);
        }
        Ok(())
    }

    async fn await_stopped(&self, id: &str, limit: Duration) -> Result<(), ApiError> {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            if self.api.server(id).await?.is_none_or(|server| server.vm_state == "stopped") {
                return Ok(());
            }
            sleep(LOOK_PAUSE).await;
        }
        Ok(())
    }

    pub(super) async fn is_restored(
        &self,
        instance: &InstanceId,
        source: &HostName,
        state: Wanted,
        lock: &str,
    ) -> Result<Now, ApiError> {
        if let Some(host) = self.views.take_restored(instance) {
            return Ok(Now::So(Facts::from([("host".to_owned(), host)])));
        }
        let since = self.views.last_sent(instance).map_or_else(Instant::now, |last| last.at);
        // The first look may be shared; one that did not satisfy is not looked at twice.
        let recent = Instant::now().checked_sub(self.views.pause(LOOK_PAUSE)).unwrap_or(since).max(since);
        // Records only say where to look: where they are behind, the server is asked for by its own name.
        let found = self.find(instance, source, recent, self.views.born()).await?;
        let Some(server) = &found.server else { return Ok(so()) };
        if is_ours(server, lock) {
            return Ok(Now::NotSo(Why::new(format!("instance {instance} is still locked by a recovery"))));
        }
        let Some(host) = found.has_left(source) else { return Ok(so()) };
        Ok(in_state(server, word(state), Facts::from([("host".to_owned(), host)])))
    }

    pub(super) async fn stop(&self, instance: &InstanceId, reset: bool) -> Result<(), ApiError> {
        let Some(server) = self.api.server(instance.as_str()).await? else { return Ok(()) };
        if server.vm_state == "stopped" {
            return Ok(());
        }
        if reset && server.vm_state != "active" {
            self.api.reset_server(instance.as_str(), false).await?;
        }
        self.api.stop_server(instance.as_str()).await.map(|_| ())
    }

    pub(super) async fn start_instance(&self, instance: &InstanceId) -> Result<(), ApiError> {
        match self.api.server(instance.as_str()).await? {
            Some(server) if server.vm_state != "active" => {
                self.api.start_server(instance.as_str()).await.map(|_| ())
            }
            _ => Ok(()),
        }
    }

    pub(super) async fn is_in_state(&self, instance: &InstanceId, wanted: &str) -> Result<Now, ApiError> {
        match self.api.server(instance.as_str()).await? {
            None => Ok(Now::NotSo(Why::new(format!("instance {instance} is gone: it was deleted")))),
            Some(server) => Ok(in_state(&server, wanted, Facts::new())),
        }
    }
}

/// What became of an evacuation.
enum Ended {
    Yes(Outcome),
    /// Nova has not begun with it.
    Queued(String),
    NotYet(String),
}

/// Whether what a record tells of may still go on. A source that comes back in the middle calls it completed.
fn may_go_on(stage: &MoveStage) -> bool {
    matches!(stage, MoveStage::UnderWay | MoveStage::Completed)
}

/// Whether a target is at work on a server.
fn is_rebuilt(server: &Server) -> bool {
    server.task_state.as_deref().is_some_and(|task| task.starts_with("rebuil"))
}

/// Whether a lock is the one that a recovery put on.
fn is_ours(server: &Server, lock: &str) -> bool {
    server.is_locked && server.locked_reason.as_deref() == Some(lock)
}

/// Nova's word for a state.
fn word(state: Wanted) -> &'static str {
    match state {
        Wanted::Active => "active",
        Wanted::Stopped => "stopped",
        Wanted::Error => "error",
    }
}

fn in_state(server: &Server, wanted: &str, facts: Facts) -> Now {
    if server.vm_state == wanted && server.task_state.is_none() {
        return Now::So(facts);
    }
    let what = format!("instance {} is {}, not {wanted}", server.id, server.vm_state);
    match &server.task_state {
        Some(task) => Now::Moving(format!("{what}, but {task}")),
        None => Now::NotSo(match &server.fault {
            Some(fault) => Why::new(format!("{what}: {fault}")),
            None => Why::new(what),
        }),
    }
}

fn failed(instance: &InstanceId, server: &Server, record: &Migration) -> Why {
    let to = record.target.as_ref().map(|target| format!(" to {target}")).unwrap_or_default();
    let fault = server.fault.as_ref().map(|fault| format!(": {fault}")).unwrap_or_default();
    Why::new(format!("the evacuation of {instance}{to} ended as {}{fault}", record.status))
}
