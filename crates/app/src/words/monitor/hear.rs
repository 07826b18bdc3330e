//! `ostler monitor hear`: listens to heartbeats as a server does, and says who is heard.
//!
//! It draws no conclusion beyond silence, and does nothing about it.

use crate::context::Context;
use crate::duration::{Seconds, words};
use crate::failure::{Exit, Failure};
use crate::settings::monitor::unusable;
use clap::Args;
use ostler_engine::ha::heartbeat::{Patience, Presence, View};
use ostler_model::Timestamp;
use ostler_world::monitor::heartbeat::{Heard, listen};
use ostler_world::monitor::keys::ServerKeys;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Listen to heartbeats as a server does, and say who is heard, who falls silent, and whether it is us who are deaf.
#[derive(Debug, Args)]
pub struct Hear {
    /// The servers' key; a second one while keys are replaced.
    #[arg(long, value_name = "FILE", default_value = "/etc/ostler/server.key")]
    key_file: Vec<PathBuf>,
    /// Addresses to listen on, one for each network.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:15869")]
    listen: Vec<SocketAddr>,
    /// After how long without a beat a host is silent.
    #[arg(long, value_name = "TIME", default_value = "10s")]
    patience: Seconds,
}

pub(super) async fn hear(context: &Context, typed: Hear) -> Result<Exit, Failure> {
    let keys = ServerKeys::read(&typed.key_file).map_err(unusable)?;
    let silent_after_ms = i64::from(typed.patience.0) * 1000;
    let heard = Heard::new(keys, Patience { silent_after_ms, ..Patience::default() });
    let mut listening = JoinSet::new();
    for address in &typed.listen {
        let socket = UdpSocket::bind(address).await.map_err(|error| {
            Failure::failed(format!("cannot listen on {address}: {error}"))
                .hint("does a server listen there already? name another with `--listen ADDRESS:PORT`")
        })?;
        let address = socket.local_addr().unwrap_or(*address);
        context.printer.note(&format!("listening on {address}"));
        listening.spawn(listen(socket, heard.clone()));
    }
    let mut told = BTreeMap::new();
    let watching = async {
        let mut is_wrong_key_said = false;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if heard.refused().unsigned > 0 && !std::mem::replace(&mut is_wrong_key_said, true) {
                context.printer.note(
                    "beats with a wrong signature come in: does a host have a key that was made from another one?",
                );
            }
            if let Some(view) = heard.view() {
                tell(context, &view, &mut told);
            }
        }
    };
    tokio::select! {
        biased;
        () = context.until_stopped() => {}
        Some(ended) = listening.join_next() => {
            let why = ended.map_or_else(|error| error.to_string(), |error| error.to_string());
            return Err(Failure::failed(format!("cannot listen any more: {why}")));
        }
        () = watching => {}
    }
    let refused = heard.refused();
    context.printer.note(&format!(
        "not counted: {} unreadable, {} with a wrong signature, {} played again or too old",
        refused.unreadable, refused.unsigned, refused.stale
    ));
    Ok(Exit::Done)
}

/// Says what has changed.
fn tell(context: &Context, view: &View, told: &mut BTreeMap<String, String>) {
    let mut lines = BTreeMap::new();
    for (host, seen) in &view.hosts {
        lines.insert(format!("host {host}"), presence(&seen.presence));
    }
    for (network, deaf) in &view.deaf {
        let line = format!("deaf: {} of {} hosts fell silent together", deaf.silent, deaf.of);
        lines.insert(format!("network {network}"), line);
    }
    let before = std::mem::replace(told, lines);
    let has_changed = before != *told;
    if context.printer.is_json() {
        if has_changed {
            context.printer.json_line(view);
        }
        return;
    }
    let now = Timestamp::now().strftime("%H:%M:%S").to_string();
    for (what, line) in told.iter().filter(|(what, line)| before.get(*what) != Some(line)) {
        context.say(&format!("{now} {what}: {line}"));
    }
    for what in before.keys().filter(|what| !told.contains_key(*what)) {
        context.say(&format!("{now} {what}: heard again"));
    }
}

fn presence(presence: &Presence) -> String {
    let since = |time: &Timestamp| format!("since {}", time.strftime("%H:%M:%S"));
    match presence {
        Presence::Heard => "heard".to_owned(),
        Presence::Partly { silent } => {
            let silent: Vec<String> =
                silent.iter().map(|(network, last)| format!("{network} {}", since(last))).collect();
            format!("heard, but silent on {}", silent.join(", "))
        }
        Presence::Doubtful { clock_behind_ms } => {
            let off = words(clock_behind_ms.unsigned_abs());
            format!("heard, but its clock is {off} {}", if *clock_behind_ms > 0 { "behind" } else { "ahead" })
        }
        Presence::Silent { since: last } => format!("SILENT on every network {}", since(last)),
        Presence::GoneOnPurpose { since: last } => format!("went down on purpose {}", since(last)),
        Presence::Unwatched { since: last } => format!("its monitor was stopped {}", since(last)),
        Presence::Unheard { since: last } => {
            format!("not heard {}, and that may be our own fault", since(last))
        }
    }
}
