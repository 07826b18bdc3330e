//! `ostler monitor process`: restarts processes that are missing, and reports those that stay away.
//!
//! It never restarts anything while the machine is going down.

use super::{FAREWELL, Post, Typed};
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::settings::monitor::{By, Watched};
use ostler_engine::monitor::processes::{Ask, GivenUp, Look, Processes};
use ostler_model::Timestamp;
use ostler_world::monitor::child::ChildError;
use ostler_world::monitor::report::{Report, What};
use ostler_world::monitor::{processes, systemd};
use std::collections::BTreeSet;
use std::time::Duration;

pub(super) async fn process(context: &Context, typed: Typed) -> Result<Exit, Failure> {
    let post = Post::open(context, &typed, "process")?;
    let watched = &post.settings.process.watched;
    if watched.is_empty() {
        return Err(Failure::usage(format!("{} names no process to watch", post.settings.path.display()))
            .hint("declare one: `[[process.watch]]` with `unit = \"nova-compute\"`")
            .hint("or name a list in the form of Masakari's monitor: `[process]` with `list = \"/etc/masakarimonitors/process_list.yaml\"`"));
    }
    let names: BTreeSet<&str> = watched.iter().map(|one| one.name.as_str()).collect();
    if names.len() < watched.len() {
        let twice = watched
            .iter()
            .map(|one| &one.name)
            .find(|name| watched.iter().filter(|other| &other.name == *name).count() > 1);
        let twice = twice.map_or("", String::as_str);
        return Err(Failure::usage(format!("`{twice}` is watched twice"))
            .hint("give one of them another name: `name = \"…\"`"));
    }
    if typed.check {
        let mut lines = post.checked();
        for (one, look) in watched.iter().zip(look(&post, watched).await) {
            let how = match &one.by {
                By::Unit(unit) => format!("unit {unit}"),
                By::Program(program) => format!("program {program}"),
            };
            let word = match look {
                Some(Look::Well) => "well",
                Some(Look::Changing) => "on its way up or down",
                Some(Look::Missing) => "MISSING",
                None => "cannot be seen",
            };
            lines.push(format!("process    {}: {word} ({how})", one.name));
        }
        return post.print(&lines);
    }
    post.say(&format!("watching {}", names.into_iter().collect::<Vec<_>>().join(", ")));
    tokio::select! {
        biased;
        () = context.until_stopped() => {}
        never = post.live() => match never {},
        never = watch(&post) => match never {},
        never = post.deliver() => match never {},
    }
    let _ = tokio::time::timeout(FAREWELL, post.farewell()).await;
    Ok(Exit::Done)
}

/// How each is; none: it could not be asked.
async fn look(post: &Post<'_>, watched: &[Watched]) -> Vec<Option<Look>> {
    let units: Vec<String> = watched
        .iter()
        .filter_map(|one| match &one.by {
            By::Unit(unit) => Some(unit.clone()),
            By::Program(_) => None,
        })
        .collect();
    let mut unit_looks = match systemd::units(&units).await {
        Ok(looks) => looks.into_iter().map(Some).collect(),
        Err(error) => {
            post.say(&format!("units cannot be seen: {error}"));
            vec![None; units.len()]
        }
    }
    .into_iter();
    let all = match processes::all() {
        Ok(all) => Some(all),
        Err(error) => {
            post.say(&format!("processes cannot be seen: {error}"));
            None
        }
    };
    watched
        .iter()
        .map(|one| match &one.by {
            By::Unit(_) => unit_looks.next().flatten(),
            By::Program(program) => all.as_ref().map(|all| {
                match all.iter().any(|process| processes::is_meant(program, process)) {
                    true => Look::Well,
                    false => Look::Missing,
                }
            }),
        })
        .collect()
}

async fn watch(post: &Post<'_>) -> std::convert::Infallible {
    let settings = &post.settings.process;
    let mut state = Processes::new(settings.limits);
    let mut ever_seen: BTreeSet<String> = BTreeSet::new();
    loop {
        let looks = look(post, &settings.watched).await;
        let is_any_missing = looks.contains(&Some(Look::Missing));
        // A machine that goes down stops everything: that is nobody's failure.
        if !is_any_missing || !systemd::is_going_down().await {
            for (one, look) in settings.watched.iter().zip(looks) {
                let Some(look) = look else { continue };
                let ask = state.look(&one.name, look, Timestamp::now());
                if look == Look::Well && ever_seen.insert(one.name.clone()) {
                    post.say(&format!("{} is well", one.name));
                    take_back(post, &one.name);
                }
                if let Some(ask) = ask {
                    act(post, one, ask, ever_seen.contains(&one.name)).await;
                }
            }
        }
        post.has_looked.notify_one();
        tokio::time::sleep(Duration::from_secs(u64::from(settings.every_s))).await;
    }
}

/// An earlier monitor may have kept a report that this process is down. Whether a server has taken it before the monitor
/// ended is not known, so it is not only dropped.
fn take_back(post: &Post<'_>, name: &str) {
    let says_down =
        |report: &Report| matches!(&report.what, What::Process { process, is_gone: true } if process == name);
    if post.delivery.waits(says_down) {
        post.report(&post.settings.host, What::Process { process: name.to_owned(), is_gone: false });
    }
}

async fn act(post: &Post<'_>, one: &Watched, ask: Ask, was_seen: bool) {
    match ask {
        Ask::Restart { name, attempt } => {
            post.say(&format!("{name} is missing: restart {attempt}"));
            if let Err(error) = restart(one, was_seen).await {
                post.say(&format!("{name}: {error}"));
            }
        }
        Ask::TellStopped { name, why } => {
            post.say(&match why {
                GivenUp::Tries(tries) => format!("{name} did not come back after {tries} restarts"),
                GivenUp::TooOften(times) => {
                    format!("{name} was restarted {times} times and is missing again")
                }
                GivenUp::Still => format!("{name} is still missing"),
            });
            post.report(&post.settings.host, What::Process { process: name, is_gone: true });
        }
        Ask::TellStarted { name } => {
            post.report(&post.settings.host, What::Process { process: name, is_gone: false });
        }
    }
}

async fn restart(one: &Watched, was_seen: bool) -> Result<(), ChildError> {
    let commands = if was_seen || one.start.is_empty() { &one.restart } else { &one.start };
    if let (By::Unit(unit), []) = (&one.by, commands.as_slice()) {
        return systemd::restart(unit).await;
    }
    for command in commands {
        processes::command(command).await?;
    }
    Ok(())
}
