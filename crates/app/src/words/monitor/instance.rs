//! `ostler monitor instance`: reports guests that fail, by libvirt's events and by a comparison now and then.
//!
//! It changes nothing on the hypervisor.

use super::{FAREWELL, Post, Typed};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use ostler_engine::monitor::agents::Agents;
use ostler_engine::monitor::guests::{Condition, Guests, Tell, What as Worth};
use ostler_model::Timestamp;
use ostler_world::monitor::child::Pauses;
use ostler_world::monitor::guests::{agent_answers, events, listing, read_event};
use ostler_world::monitor::report::{Report, What};
use ostler_world::monitor::spool::replace;
use ostler_world::system::boot_id;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Events that may wait to be read: a host that goes down has a few for each guest. More are left in the pipe.
const EVENTS_MAX: usize = 4_096;

/// The pause before the program that waits for events is started again, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// How soon after an event that says too little all guests are looked at.
const SOON: Duration = Duration::from_millis(500);

/// Agents that are asked at the same time: each question is a process for its time.
const QUESTIONS_MAX: usize = 8;

/// What comes from the hypervisor.
enum Came {
    Listening,
    Line(String),
    Ended(String, Duration),
}

pub(super) async fn instance(context: &Context, typed: Typed) -> Result<Exit, Failure> {
    let post = Post::open(context, &typed, "instance")?;
    let connection = &post.settings.instance.connection;
    if typed.check {
        let mut lines = post.checked();
        lines.push(format!("libvirt    {connection}"));
        match listing(connection).await {
            Ok(guests) => {
                lines.extend(guests.iter().map(|(identity, listed)| {
                    format!("guest      {identity} {} {}", listed.name, condition(listed.condition))
                }));
                lines.push(format!("           {} guests", guests.len()));
                return post.print(&lines);
            }
            Err(error) => {
                post.print(&lines)?;
                return Err(Failure::failed(format!("the guests cannot be seen: {error}"))
                    .hint("is libvirtd running, and is `connection` below `[instance]` its address?"));
            }
        }
    }
    let (sender, came) = mpsc::channel(EVENTS_MAX);
    post.say(&format!("watching the guests of {connection}"));
    tokio::select! {
        biased;
        () = context.until_stopped() => {}
        never = post.live() => match never {},
        never = listen(connection, sender) => match never {},
        never = watch(&post, came) => match never {},
        never = post.deliver() => match never {},
    }
    let _ = tokio::time::timeout(FAREWELL, post.farewell()).await;
    Ok(Exit::Done)
}

/// Keeps a program running that waits for events.
async fn listen(connection: &str, sender: mpsc::Sender<Came>) -> std::convert::Infallible {
    let mut pauses = Pauses::new(PAUSES.0, PAUSES.1);
    loop {
        let begun = Instant::now();
        let why = match events(connection) {
            Err(error) => error,
            Ok(mut lines) => {
                let _ = sender.send(Came::Listening).await;
                loop {
                    match lines.next().await {
                        Ok(line) => {
                            let _ = sender.send(Came::Line(line)).await;
                        }
                        Err(why) => break why,
                    }
                }
            }
        };
        let pause = pauses.after(begun.elapsed());
        let _ = sender.send(Came::Ended(why.to_string(), pause)).await;
        tokio::time::sleep(pause).await;
    }
}

struct Watch<'a, 'b> {
    post: &'a Post<'b>,
    boot: String,
    guests: Guests,
    kept: PathBuf,
    agents: Option<Agents>,
    /// Whether libvirt answered the last question, so that it is said once when it does not.
    is_seen: bool,
}

async fn watch(post: &Post<'_>, mut came: mpsc::Receiver<Came>) -> std::convert::Infallible {
    let settings = &post.settings.instance;
    let kept = post.settings.state_directory.join("guests.json");
    let guests = read(post, &kept);
    let mut watch = Watch {
        post,
        boot: boot_id(),
        guests,
        kept,
        agents: settings.guest_agent.map(|(_, _, misses)| Agents::new(misses)),
        is_seen: true,
    };
    let every = Duration::from_secs(u64::from(settings.compare_every_s));
    let agents_every = settings.guest_agent.map(|(every, _, _)| Duration::from_secs(u64::from(every)));
    let mut compare_at = tokio::time::Instant::now();
    let mut agents_at = agents_every.map(|every| tokio::time::Instant::now() + every);
    loop {
        let agents_due = async {
            match agents_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(came) = came.recv() => {
                if watch.take(came).await {
                    compare_at = compare_at.min(tokio::time::Instant::now() + SOON);
                }
            }
            () = tokio::time::sleep_until(compare_at) => {
                watch.compare().await;
                post.has_looked.notify_one();
                compare_at = tokio::time::Instant::now() + every;
            }
            () = agents_due => {
                watch.ask_agents().await;
                agents_at = agents_every.map(|every| tokio::time::Instant::now() + every);
            }
        }
    }
}

impl Watch<'_, '_> {
    /// Takes in what came; whether all guests should be looked at soon.
    async fn take(&mut self, came: Came) -> bool {
        let line = match came {
            Came::Listening => return true,
            Came::Ended(why, pause) => {
                let pause = pause.as_secs();
                self.post.say(&format!("events ended, listening again in {pause} s: {why}"));
                return false;
            }
            Came::Line(line) => line,
        };
        let Some(event) = read_event(&line) else { return false };
        if self.guests.identity(&event.name).is_none() {
            // One that was made since the last look.
            self.compare().await;
        }
        let Some(identity) = self.guests.identity(&event.name).map(str::to_owned) else {
            if event.sends.is_some() {
                self.post.say(&format!("nothing is known of {}: {line}", event.name));
            }
            return false;
        };
        if event.condition == Some(Condition::Runs)
            && let Some(agents) = &mut self.agents
            && line.contains("Started")
        {
            agents.started(&identity);
        }
        match (event.condition, event.sends) {
            (Some(Condition::Failed), _) => {
                let limit = self.post.settings.instance.limit;
                let tell = self.guests.failed(&identity, &event.name, limit, Timestamp::now());
                self.report(tell);
            }
            (condition, sends) => {
                if let Some(condition) = condition {
                    self.guests.note(&identity, condition);
                    self.take_back();
                }
                if let Some((event, detail)) = sends {
                    self.send(&identity, event, detail);
                }
            }
        }
        self.keep();
        // An event without a condition may still have changed it.
        event.condition.is_none()
    }

    async fn compare(&mut self) {
        let instance = &self.post.settings.instance;
        match listing(&instance.connection).await {
            Ok(listing) => {
                if !self.is_seen {
                    self.post.say("the guests can be seen again");
                }
                self.is_seen = true;
                let tells = self.guests.compare(&self.boot, &listing, instance.limit, Timestamp::now());
                for tell in tells {
                    self.report(tell);
                }
                self.take_back();
                self.keep();
            }
            Err(error) if self.is_seen => {
                self.is_seen = false;
                self.post.say(&format!("the guests cannot be seen: {error}"));
            }
            Err(_) => {}
        }
    }

    fn report(&self, tell: Tell) {
        let window = crate::duration::words(self.post.settings.instance.limit.window_ms.unsigned_abs());
        match tell.what {
            Worth::Failed { told } => {
                if told > 0 {
                    self.post.say(&format!("guest {} is still not running (told {told} times)", tell.guest));
                }
                self.send(&tell.guest, "LIFECYCLE", "STOPPED_FAILED");
            }
            Worth::FailsTooOften { times } => {
                self.post.say(&format!(
                    "guest {} failed {times} times within {window}: it is not asked to be started again",
                    tell.guest
                ));
                // Shown in the list of notifications, and nothing is done about it.
                self.send(&tell.guest, "LIFECYCLE", "STOPPED_FAILED_TOO_OFTEN");
            }
            Worth::Halted(condition) => {
                let detail = match condition {
                    Condition::HaltedByIo => "SUSPENDED_IOERROR",
                    Condition::HaltedByWatchdog => "SUSPENDED_WATCHDOG",
                    _ => "SUSPENDED_API_ERROR",
                };
                self.send(&tell.guest, "LIFECYCLE", detail);
            }
        }
    }

    fn send(&self, guest: &str, event: &str, detail: &str) {
        let what =
            What::Guest { guest: guest.to_owned(), event: event.to_owned(), detail: detail.to_owned() };
        self.post.report(&self.post.settings.host, what);
    }

    /// A report that a guest failed is not so any more when the guest runs, or was stopped by somebody.
    fn take_back(&self) {
        let is_so = |report: &Report| match &report.what {
            What::Guest { guest, detail, event } => {
                event != "LIFECYCLE" || detail != "STOPPED_FAILED" || self.guests.has_failed(guest)
            }
            What::Host { .. } | What::Process { .. } => true,
        };
        for report in self.post.delivery.retain(is_so) {
            self.post.say(&format!("not so any more, not reported: {}", report.words()));
        }
    }

    async fn ask_agents(&mut self) {
        let Some((_, patience, _)) = self.post.settings.instance.guest_agent else { return };
        let Some(agents) = &mut self.agents else { return };
        let running: Vec<(String, String)> =
            self.guests.running().map(|(identity, name)| (identity.to_owned(), name.to_owned())).collect();
        let due = agents.round(running.iter().map(|(identity, _)| identity.as_str()));
        let mut waiting = running.into_iter().filter(|(identity, _)| due.contains(identity));
        let mut asked = JoinSet::new();
        let mut hung = Vec::new();
        loop {
            while asked.len() < QUESTIONS_MAX
                && let Some((identity, name)) = waiting.next()
            {
                let connection = self.post.settings.instance.connection.clone();
                asked.spawn(async move {
                    let patience = Duration::from_secs(u64::from(patience));
                    (identity, agent_answers(&connection, &name, patience).await)
                });
            }
            match asked.join_next().await {
                Some(Ok((identity, answers))) => {
                    if agents.answered(&identity, answers) {
                        hung.push(identity);
                    }
                }
                Some(Err(_)) => {}
                None => break,
            }
        }
        for guest in hung {
            self.post.say(&format!("guest {guest} hangs: its agent does not answer any more"));
            self.send(&guest, "QEMU_GUEST_AGENT_ERROR", "STOPPED_FAILED");
        }
    }

    fn keep(&self) {
        let written = serde_json::to_vec(&self.guests)
            .map_err(std::io::Error::from)
            .and_then(|bytes| replace(&self.kept, &bytes));
        if let Err(error) = written {
            self.post
                .say(&format!("what is known of guests cannot be kept in {}: {error}", self.kept.display()));
        }
    }
}

/// What an earlier monitor knew; nothing if that cannot be read.
fn read(post: &Post<'_>, path: &std::path::Path) -> Guests {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Guests::default(),
        Err(error) => {
            post.say(&format!("{} cannot be read: {error}", path.display()));
            return Guests::default();
        }
    };
    serde_json::from_slice(&bytes).unwrap_or_else(|error| {
        post.say(&format!("{} cannot be understood, what it said is forgotten: {error}", path.display()));
        Guests::default()
    })
}

fn condition(condition: Condition) -> &'static str {
    match condition {
        Condition::Runs => "runs",
        Condition::HaltedByIo => "halted: trouble with its disk",
        Condition::HaltedByWatchdog => "halted by its watchdog",
        Condition::HaltedByApi => "halted by the hypervisor",
        Condition::Off => "off",
        Condition::Failed => "off: it failed",
    }
}
