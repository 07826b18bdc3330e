//! `ostler monitor host`: heartbeats to the servers, what clusters say of other hosts, and what is done when this host
//! is cut off.
//!
//! It touches no guest unless the settings ask for that by name.

use super::{FAREWELL, Post, Typed};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::settings::monitor::{Action, HostStatus, Isolation as IsolationSettings};
use ostler_engine::ha::heartbeat::{Storage, Word};
use ostler_engine::monitor::isolation::{CutOff, Isolation};
use ostler_engine::monitor::matrix::{Matrix, Verdict};
use ostler_engine::monitor::peers::{Peers, Seen};
use ostler_engine::seam::Dice;
use ostler_model::Timestamp;
use ostler_world::monitor::cluster::{self, Consul, Member, Members, NoView};
use ostler_world::monitor::heartbeat::Sender;
use ostler_world::monitor::isolation::{self, Watchdog};
use ostler_world::monitor::report::What;
use ostler_world::monitor::systemd;
use ostler_world::system::SystemDice;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// How often a goodbye is said: datagrams get lost.
const GOODBYES: u32 = 3;

/// How often is looked whether this host is cut off, and the watchdog fed.
const ISOLATION_EVERY: Duration = Duration::from_secs(2);

/// Answers of servers that may wait to be counted.
const ANSWERS_MAX: usize = 64;

/// What the parts of this monitor tell each other.
struct Here {
    storage: Cell<Storage>,
    isolation: RefCell<Option<Isolation>>,
    /// Servers that answer, and those that could not even be sent to, so that each is said once.
    answering: RefCell<BTreeSet<(String, SocketAddr)>>,
    unsent: RefCell<BTreeMap<String, String>>,
}

pub(super) async fn host(context: &Context, typed: Typed) -> Result<Exit, Failure> {
    let post = Post::open(context, &typed, "host")?;
    let settings = &post.settings;
    let is_idle = settings.heartbeat.is_none() && settings.pacemaker.is_none() && settings.consul.is_none();
    if is_idle {
        return Err(Failure::usage(format!("{} gives the host monitor nothing to do", settings.path.display()))
            .hint("declare `[heartbeat]` with its networks; `[pacemaker]` or `[consul]` where these watch the hosts"));
    }
    let mut senders = Vec::new();
    for (network, bind, servers) in settings.heartbeat.iter().flat_map(|heartbeat| &heartbeat.networks) {
        let key = settings.heartbeat.as_ref().map(|heartbeat| heartbeat.key.clone());
        let Some(key) = key else { continue };
        let sender =
            Sender::open(network, *bind, servers.clone(), &settings.host, key, SystemDice.roll()).await;
        let from = bind.map_or_else(|| "any address".to_owned(), |bind| bind.to_string());
        senders.push(Arc::new(sender.map_err(|error| {
            Failure::failed(format!("cannot send heartbeats on network {network} from {from}: {error}")).hint(
                format!("is that an address of this host? see `bind` below `[heartbeat.networks.{network}]`"),
            )
        })?));
    }
    let consul = consul(&post)?;
    if typed.check {
        return check(&post, consul.as_ref()).await;
    }
    let watchdog = watchdog(&post)?;
    post.has_looked.notify_one();
    let here = Here {
        storage: Cell::new(Storage::NotWatched),
        isolation: RefCell::new(
            settings.isolation.as_ref().map(|isolation| Isolation::new(i64::from(isolation.after_s) * 1000)),
        ),
        answering: RefCell::default(),
        unsent: RefCell::default(),
    };
    for (network, _, servers) in settings.heartbeat.iter().flat_map(|heartbeat| &heartbeat.networks) {
        post.say(&format!("heartbeats on {network} to {}", servers.join(", ")));
    }
    tokio::select! {
        biased;
        () = context.until_stopped() => {}
        never = post.live() => match never {},
        never = beat(&post, &senders, &here) => match never {},
        never = hear(&post, &senders, &here) => match never {},
        never = stay(&post, &here, watchdog) => match never {},
        never = pacemaker(&post) => match never {},
        never = watch_consul(&post, consul) => match never {},
        never = post.deliver() => match never {},
    }
    goodbye(&post, &senders, &here).await;
    let _ = tokio::time::timeout(FAREWELL, post.farewell()).await;
    Ok(Exit::Done)
}

/// Says whether the host goes down or only its monitor.
async fn goodbye(post: &Post<'_>, senders: &[Arc<Sender>], here: &Here) {
    if senders.is_empty() {
        return;
    }
    let word = if systemd::is_going_down().await { Word::GoingDown } else { Word::MonitorStops };
    post.say(match word {
        Word::GoingDown => "this host goes down on purpose: the servers are told",
        Word::Alive | Word::MonitorStops => "only this monitor stops: the servers are told",
    });
    for _ in 0..GOODBYES {
        for sender in senders {
            sender.beat(word, here.storage.get(), SystemDice.roll()).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn beat(post: &Post<'_>, senders: &[Arc<Sender>], here: &Here) -> Infallible {
    let Some(heartbeat) = post.settings.heartbeat.as_ref() else { return std::future::pending().await };
    let mut beats = tokio::time::interval(Duration::from_secs(u64::from(heartbeat.every_s)));
    // A beat that comes late is no reason to send several at once.
    beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        let mut unsent = BTreeMap::new();
        for sender in senders {
            unsent.extend(sender.beat(Word::Alive, here.storage.get(), SystemDice.roll()).await);
        }
        let before = here.unsent.replace(unsent.clone());
        for (server, why) in unsent.iter().filter(|(server, _)| !before.contains_key(*server)) {
            post.say(&format!("heartbeats to {server} cannot be sent: {why}"));
        }
        for server in before.keys().filter(|server| !unsent.contains_key(*server)) {
            post.say(&format!("heartbeats to {server} can be sent again"));
        }
    }
}

/// Counts the servers' answers.
async fn hear(post: &Post<'_>, senders: &[Arc<Sender>], here: &Here) -> Infallible {
    let names = post.settings.heartbeat.iter().flat_map(|heartbeat| &heartbeat.networks);
    let names: Vec<String> = names.map(|(name, _, _)| name.clone()).collect();
    let (told, mut answers) = mpsc::channel(ANSWERS_MAX);
    let mut waiting = JoinSet::new();
    for (sender, name) in senders.iter().zip(names) {
        let (sender, told) = (Arc::clone(sender), told.clone());
        waiting.spawn(async move {
            loop {
                let server = sender.answered().await;
                if told.send((name.clone(), server)).await.is_err() {
                    return;
                }
            }
        });
    }
    loop {
        // Never none: this end of the way in is kept.
        let Some(answer) = answers.recv().await else { continue };
        if let Some(isolation) = here.isolation.borrow_mut().as_mut() {
            isolation.heard(Timestamp::now());
        }
        if here.answering.borrow_mut().insert(answer.clone()) {
            post.say(&format!("the server {} answers on {}", answer.1, answer.0));
        }
    }
}

fn watchdog(post: &Post<'_>) -> Result<Option<Watchdog>, Failure> {
    match post.settings.isolation.as_ref().filter(|isolation| isolation.action == Action::Watchdog) {
        None => Ok(None),
        Some(IsolationSettings { watchdog, .. }) => Watchdog::take(watchdog).map(Some).map_err(|error| {
            Failure::failed(format!("the watchdog {} cannot be taken: {error}", watchdog.display()))
                .hint("`modprobe softdog` where there is no hardware one; nobody else may hold it")
        }),
    }
}

/// Looks at the storage, and acts when this host is cut off for as long as the settings say.
async fn stay(post: &Post<'_>, here: &Here, mut watchdog: Option<Watchdog>) -> Infallible {
    let Some(settings) = post.settings.isolation.as_ref() else { return std::future::pending().await };
    let mut is_cut_off = false;
    let mut starves = false;
    loop {
        let storage = isolation::storage(&settings.storage, &post.settings.host).await;
        if here.storage.replace(storage) != storage {
            post.say(&match storage {
                Storage::Lost => format!("the storage {} does not answer", settings.storage.display()),
                _ => format!("the storage {} answers", settings.storage.display()),
            });
        }
        let now = Timestamp::now();
        let state = match here.isolation.borrow_mut().as_mut() {
            Some(isolation) => {
                isolation.storage(storage, now);
                isolation.look(now)
            }
            None => CutOff::No,
        };
        match state {
            CutOff::No => {
                if is_cut_off {
                    post.say("this host is not cut off any more");
                }
                (is_cut_off, starves) = (false, false);
            }
            CutOff::Since(since) => {
                if !is_cut_off {
                    post.say(&format!(
                        "cut off from all servers and from storage since {}",
                        since.strftime("%H:%M:%S")
                    ));
                }
                is_cut_off = true;
            }
            CutOff::Act(_) if settings.action == Action::Watchdog => {
                starves = true;
                post.say(
                    "cut off for too long: the watchdog is not fed any more and will reset this machine",
                );
            }
            CutOff::Act(_) => {
                post.say("cut off for too long: this host ends its guests, they will be started elsewhere");
                end_guests(post);
            }
        }
        if let Some(watchdog) = watchdog.as_mut().filter(|_| !starves)
            && let Err(error) = watchdog.feed()
        {
            post.say(&format!("the watchdog cannot be fed: {error}"));
        }
        tokio::time::sleep(ISOLATION_EVERY).await;
    }
}

fn end_guests(post: &Post<'_>) {
    match isolation::running() {
        Ok(running) => {
            let (stopped, wrong) = isolation::stop(&running);
            for guest in &stopped {
                post.say(&format!("ended {guest}"));
            }
            for line in wrong {
                post.say(&format!("could not end {line}"));
            }
            post.say(&format!("{} of {} guests ended", stopped.len(), running.len()));
        }
        Err(error) => post.say(&format!("the guests' processes cannot be found: {error}")),
    }
}

/// Says once when a witness has no view, and once when it has one again.
fn say_view(post: &Post<'_>, witness: &str, said: &mut Option<String>, view: Option<&NoView>) {
    let now = view.map(ToString::to_string);
    if *said != now {
        match &now {
            Some(why) => post.say(&format!("{witness}: {why}")),
            None => post.say(&format!("{witness} can be asked again")),
        }
    }
    *said = now;
}

async fn pacemaker(post: &Post<'_>) -> Infallible {
    let Some(settings) = post.settings.pacemaker.as_ref() else { return std::future::pending().await };
    let mut peers = Peers::new(settings.looks);
    let mut said = None;
    loop {
        match cluster::pacemaker(settings.remotes_only).await {
            Ok(members) => {
                say_view(post, "Pacemaker", &mut said, None);
                report_peers(post, &mut peers, &members, settings.host_status);
            }
            Err(error) => say_view(post, "Pacemaker", &mut said, Some(&error)),
        }
        tokio::time::sleep(Duration::from_secs(u64::from(settings.every_s))).await;
    }
}

fn report_peers(post: &Post<'_>, peers: &mut Peers, members: &Members, status: HostStatus) {
    let view: BTreeMap<String, Seen> = members
        .iter()
        .filter(|(host, _)| **host != post.settings.host)
        .map(|(host, member)| (host.clone(), member.seen))
        .collect();
    for tell in peers.look(&view, Timestamp::now()) {
        let is_fenced = members.get(&tell.host).is_some_and(|member| member.is_fenced);
        let is_proven = match status {
            HostStatus::Fenced => is_fenced,
            HostStatus::AlwaysNormal => true,
            HostStatus::Unknown => false,
        };
        post.report(&tell.host, What::Host { is_gone: tell.is_gone, is_proven });
    }
}

fn consul(post: &Post<'_>) -> Result<Option<(Consul, Matrix)>, Failure> {
    let Some(settings) = post.settings.consul.as_ref() else { return Ok(None) };
    let names: Vec<String> = settings.agents.iter().map(|(name, _)| name.clone()).collect();
    let matrix = match &settings.matrix {
        Some(path) => cluster::read_matrix(path).map_err(|what| {
            Failure::usage(what)
                .hint("it has `sequence`, a list of networks, and `matrix`, a list of `health` and `action`")
        })?,
        None => Matrix::usual(names.clone()),
    };
    if let Some(unknown) = matrix.networks.iter().find(|network| !names.contains(network)) {
        return Err(Failure::usage(format!(
            "the matrix speaks of network `{unknown}`, which has no Consul agent"
        ))
        .hint(format!("agents are named for: {}", names.join(", "))));
    }
    let consul = Consul::new(settings.agents.clone()).map_err(|error| Failure::failed(error.to_string()))?;
    Ok(Some((consul, matrix)))
}

async fn watch_consul(post: &Post<'_>, consul: Option<(Consul, Matrix)>) -> Infallible {
    let (Some((consul, matrix)), Some(settings)) = (consul, post.settings.consul.as_ref()) else {
        return std::future::pending().await;
    };
    let mut peers = Peers::new(settings.looks);
    let mut said = None;
    loop {
        let (members, silent) = judge(&consul, &matrix).await;
        say_view(post, "Consul", &mut said, silent.first());
        report_peers(post, &mut peers, &members, settings.host_status);
        tokio::time::sleep(Duration::from_secs(u64::from(settings.every_s))).await;
    }
}

async fn judge(consul: &Consul, matrix: &Matrix) -> (Members, Vec<NoView>) {
    let (hosts, silent) = consul.look(matrix).await;
    let members = hosts.into_iter().map(|(host, reach)| {
        let seen = match matrix.judge(&reach) {
            Verdict::Well => Seen::Online,
            Verdict::Recover => Seen::Offline,
            Verdict::Nothing => Seen::Unknown,
        };
        (host, Member { seen, is_fenced: false })
    });
    (members.collect(), silent)
}

async fn check(post: &Post<'_>, consul: Option<&(Consul, Matrix)>) -> Result<Exit, Failure> {
    let mut lines = post.checked();
    for (network, bind, servers) in post.settings.heartbeat.iter().flat_map(|heartbeat| &heartbeat.networks) {
        let from = bind.map_or_else(String::new, |bind| format!(" from {bind}"));
        lines.push(format!("heartbeat  on {network}{from} to {}", servers.join(", ")));
    }
    match &post.settings.isolation {
        None => lines.push("cut off    nothing is done: guests run on".to_owned()),
        Some(isolation) => {
            let what = match isolation.action {
                Action::StopGuests => "guests are ended".to_owned(),
                Action::Watchdog => format!("{} is not fed any more", isolation.watchdog.display()),
            };
            lines.push(format!(
                "cut off    {what} after {} s without any server and without {}",
                isolation.after_s,
                isolation.storage.display()
            ));
        }
    }
    let mut witness = |name: &str, members: Result<Members, NoView>| match members {
        Ok(members) => {
            for (host, member) in members {
                let word = match member.seen {
                    Seen::Online => "online",
                    Seen::Offline if member.is_fenced => "OFFLINE, fenced",
                    Seen::Offline => "OFFLINE, not known to be fenced",
                    Seen::Unknown => "not known",
                };
                lines.push(format!("{name:<10} {host} {word}"));
            }
        }
        Err(error) => lines.push(format!("{name:<10} {error}")),
    };
    if let Some(pacemaker) = &post.settings.pacemaker {
        witness("Pacemaker", cluster::pacemaker(pacemaker.remotes_only).await);
    }
    if let Some((consul, matrix)) = consul {
        let (members, silent) = judge(consul, matrix).await;
        witness("Consul", silent.into_iter().next().map_or(Ok(members), Err));
    }
    post.print(&lines)
}
