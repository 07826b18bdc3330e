//! `ostler monitor`: what runs on compute hosts, and what belongs to it on a server.
//!
//! Only words and the order of things: what is worth a report is decided by the engine.

mod hear;
mod host;
mod instance;
mod key;
mod process;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::settings::monitor::{MonitorSettings, PLACE};
use clap::{Args, Subcommand};
use ostler_model::Timestamp;
use ostler_world::monitor::delivery::{Access, Delivery, News};
use ostler_world::monitor::report::{Report, What};
use ostler_world::monitor::spool::Spool;
use ostler_world::monitor::systemd;
use ostler_world::system::boot_id;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How long the last reports may take when a monitor ends: they are on disk anyway.
const FAREWELL: Duration = Duration::from_secs(2);

/// What runs on compute hosts.
#[derive(Debug, Subcommand)]
pub enum Monitor {
    /// Send heartbeats to the servers, and report what Pacemaker or Consul say of other hosts.
    Host(Typed),
    /// Report guests that fail.
    Instance(Typed),
    /// Restart processes that are missing, and report those that stay away.
    Process(Typed),
    /// Make a host's key, on a server.
    Key(key::Key),
    /// Listen to heartbeats as a server does, and say who is heard.
    Hear(hear::Hear),
}

/// What all monitors take.
#[derive(Debug, Args)]
pub struct Typed {
    /// The settings file.
    #[arg(long, value_name = "FILE", default_value = PLACE)]
    settings: PathBuf,
    /// Read the settings, say what would be done, and end.
    #[arg(long)]
    check: bool,
}

pub(super) async fn speak(context: &Context, verb: Monitor) -> Result<Exit, Failure> {
    match verb {
        Monitor::Host(typed) => host::host(context, typed).await,
        Monitor::Instance(typed) => instance::instance(context, typed).await,
        Monitor::Process(typed) => process::process(context, typed).await,
        Monitor::Key(typed) => key::key(context, typed),
        Monitor::Hear(typed) => hear::hear(context, typed).await,
    }
}

/// A monitor that speaks and reports.
struct Post<'a> {
    context: &'a Context,
    name: &'static str,
    settings: MonitorSettings,
    delivery: Arc<Delivery>,
    /// Told after the first look: what was kept may not be so any more, and goes out only then.
    has_looked: Notify,
    /// Whether whoever reads the lines adds the time to them.
    is_journal: bool,
}

impl<'a> Post<'a> {
    fn open(context: &'a Context, typed: &Typed, name: &'static str) -> Result<Post<'a>, Failure> {
        let settings = MonitorSettings::read(&typed.settings)?;
        // A check leaves the reports of a monitor that runs alone.
        let (spool, complaints) = match typed.check {
            true => (Spool::none(), Vec::new()),
            false => Spool::open(&settings.state_directory.join(format!("{name}-reports")), &boot_id()),
        };
        let delivery = Delivery::new(
            settings.servers.clone(),
            settings.access.clone(),
            &settings.host,
            settings.ca_file.as_deref(),
            spool,
        )
        .map_err(|error| Failure::usage(error.to_string()).hint("see to `ca-file` below `[reports]`"))?;
        let is_journal = std::env::var_os("JOURNAL_STREAM").is_some();
        let post = Post {
            context,
            name,
            settings,
            delivery: Arc::new(delivery),
            has_looked: Notify::new(),
            is_journal,
        };
        for complaint in complaints {
            post.say(&complaint);
        }
        Ok(post)
    }

    /// Says a line.
    fn say(&self, line: &str) {
        let now = Timestamp::now();
        if self.context.printer.is_json() {
            self.context.printer.json_line(
                &json!({"at": now.to_string(), "monitor": self.name, "host": self.settings.host, "says": line}),
            );
        } else if self.is_journal {
            self.context.say(line);
        } else {
            self.context.say(&format!("{} {line}", now.strftime("%H:%M:%S")));
        }
    }

    /// Reports.
    fn report(&self, host: &str, what: What) {
        let report = Report { host: host.to_owned(), seen: Timestamp::now(), what };
        self.say(&report.words());
        for complaint in self.delivery.report(report) {
            self.say(&complaint);
        }
    }

    /// Brings reports to the servers, without end, from the first look on.
    async fn deliver(&self) -> std::convert::Infallible {
        self.has_looked.notified().await;
        self.delivery
            .run(|news| {
                self.say(&match news {
                    News::Taken { report, server } => format!("reported to {server}: {report}"),
                    News::Forgotten { report, server, answer } => {
                        format!("{server} wants none of it: {report}: {answer}")
                    }
                    News::Waits { report, why, waiting } => {
                        format!("not reported yet ({waiting} waiting): {report}: {why}")
                    }
                });
            })
            .await
    }

    /// Tells systemd that we are there, and then again and again that we live.
    async fn live(&self) -> std::convert::Infallible {
        self.tell_systemd("READY=1");
        match systemd::watchdog_pause() {
            None => std::future::pending().await,
            Some(pause) => loop {
                tokio::time::sleep(pause).await;
                self.tell_systemd("WATCHDOG=1");
            },
        }
    }

    fn tell_systemd(&self, message: &str) {
        if let Err(error) = systemd::tell(message) {
            self.say(&format!("systemd cannot be told {message}: {error}"));
        }
    }

    /// Ends: what waits may still go out, for a moment.
    async fn farewell(&self) {
        self.tell_systemd("STOPPING=1");
        let waiting = self.delivery.waiting();
        if waiting > 0 {
            self.say(&format!("{waiting} reports wait; the next start goes on with them"));
        }
    }

    /// What `--check` says first.
    fn checked(&self) -> Vec<String> {
        let access = match &self.settings.access {
            Access::Open => "without saying who reports: fine for a lab, and nowhere else".to_owned(),
            Access::Key(_) => "signed with this host's key".to_owned(),
            Access::Token(account) => {
                format!("with a token for {} from {}", account.user.0, account.auth_url)
            }
        };
        let servers = match self.settings.servers.as_slice() {
            [] => "where the catalogue says".to_owned(),
            servers => servers.join(", "),
        };
        vec![
            format!("settings   {}", self.settings.path.display()),
            format!("host       {}", self.settings.host),
            format!("reports    to {servers}"),
            format!("           {access}"),
        ]
    }

    fn print(&self, lines: &[String]) -> Result<Exit, Failure> {
        match self.context.printer.is_json() {
            true => self.context.printer.json(&json!({"monitor": self.name, "check": lines}))?,
            false => self.context.printer.text(&lines.join("\n"))?,
        }
        Ok(Exit::Done)
    }
}
