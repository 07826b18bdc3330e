//! What happens to a pretended cloud while a script is played, and when.
//!
//! An event changes the world as its own accidents would. It never touches a run: that is for commands.

use super::scene::service_of;
use super::wings::Wings;
use ostler_model::catalogue::Catalogue;
use ostler_model::event::{Entry, Event as Entered, Outcome};
use ostler_model::ids::{HostName, StepId};
use ostler_model::release::Series;
use ostler_sim::SimCloud;
use ostler_sim::cloud::Fault;

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A node loses power.
    PowerLost(HostName),
    /// A node gets power: what is enabled starts, and its database catches up.
    PowerBack(HostName),
    /// The service on a node stops or starts, without anybody's order.
    Service(HostName, bool),
    /// The database on a node stops or starts.
    Database(HostName, bool),
    /// The load balancer of a node answers or does not.
    Proxy(HostName, bool),
    /// A file on a node is like those on the other nodes, or is not.
    File(String, HostName, bool),
    /// The database has the heads of this release.
    Schema(Series),
    /// Another point release is installed on a node.
    Installed(String, HostName),
    /// The package source has a release, or lacks it.
    Offered(Series, bool),
    /// The command of a step fails this many times from now on.
    Fails(StepId, u32),
    /// The command of a step never ends.
    Hangs(StepId),
    /// The ostler that is at work is killed: it does nothing more, and says nothing.
    Killed,
    /// Somebody presses Ctrl-C in the first terminal.
    Interrupted,
    /// Time passes, in milliseconds.
    Passes(u64),
    /// Somebody types a command in a second terminal.
    Types(String),
}

/// Which entry of a journal is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moment {
    /// One that is about a step.
    Step(StepId, About),
    /// One that is about the run.
    Run(Turn),
}

/// What an entry says of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Intended: the entry is durable, the effect is not begun.
    Begins,
    /// Proved done.
    Done,
    /// Proved not done.
    Fails,
    /// Nobody can say.
    Doubt,
    /// A guard does not hold.
    Waits,
    /// Its gate was passed.
    Passed,
}

/// What an entry says of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Its plan was approved.
    Approved,
    /// It was paused.
    Paused,
    /// It was resumed.
    Resumed,
    /// It is over.
    Closed,
}

impl Moment {
    /// Whether this is the entry.
    pub fn is(&self, entry: &Entry) -> bool {
        let event = &entry.event;
        match self {
            Moment::Step(step, about) => {
                event.step() == Some(step)
                    && match about {
                        About::Begins => matches!(event, Entered::Intended { .. }),
                        About::Done => {
                            outcome(event).is_some_and(|come| matches!(come, Outcome::Done { .. }))
                        }
                        About::Fails => {
                            outcome(event).is_some_and(|come| matches!(come, Outcome::NotDone { .. }))
                        }
                        About::Doubt => {
                            outcome(event).is_some_and(|come| matches!(come, Outcome::Unknown { .. }))
                        }
                        About::Waits => matches!(event, Entered::Postponed { .. }),
                        About::Passed => matches!(event, Entered::Passed { .. }),
                    }
            }
            Moment::Run(turn) => match turn {
                Turn::Approved => matches!(event, Entered::Approved { .. }),
                Turn::Paused => matches!(event, Entered::Paused { .. }),
                Turn::Resumed => matches!(event, Entered::Resumed { .. }),
                Turn::Closed => matches!(event, Entered::Closed { .. }),
            },
        }
    }

    /// The step that is waited for.
    pub fn step(&self) -> Option<&StepId> {
        match self {
            Moment::Step(step, _) => Some(step),
            Moment::Run(_) => None,
        }
    }
}

fn outcome(event: &Entered) -> Option<&Outcome> {
    match event {
        Entered::Proved { outcome, .. } => Some(outcome),
        _ => None,
    }
}

impl Event {
    /// The step whose command it is about.
    pub fn step(&self) -> Option<&StepId> {
        match self {
            Event::Fails(step, _) | Event::Hangs(step) => Some(step),
            _ => None,
        }
    }

    /// Changes the world. What concerns terminals and time is for the player.
    pub fn happen(&self, wings: &Wings, catalogue: &Catalogue) {
        let cloud = wings.cloud.as_ref();
        match self {
            Event::PowerLost(host) => lose_power(cloud, host),
            Event::PowerBack(host) => get_power(cloud, host),
            Event::Service(host, runs) => cloud.change(host.as_str(), |node| node.service = *runs),
            Event::Database(host, true) => join_database(cloud, host),
            Event::Database(host, false) => cloud.change(host.as_str(), |node| node.database = false),
            Event::Proxy(host, answers) => wings.mark(|marks| {
                if *answers {
                    marks.silent.remove(host)
                } else {
                    marks.silent.insert(host.clone())
                };
            }),
            Event::File(path, host, differs) => wings.mark(|marks| {
                let place = (host.clone(), path.clone());
                if *differs {
                    marks.changed.insert(place)
                } else {
                    marks.changed.remove(&place)
                };
            }),
            Event::Schema(series) => {
                let heads = service_of(catalogue)
                    .and_then(|service| service.release(*series))
                    .map(|release| release.heads())
                    .unwrap_or_default();
                for host in cloud.declared.nodes.keys() {
                    cloud.change(host.as_str(), |node| node.heads = heads.clone());
                }
            }
            Event::Installed(version, host) => {
                cloud.change(host.as_str(), |node| node.version = version.clone());
            }
            Event::Offered(series, is_there) => wings.mark(|marks| {
                if *is_there {
                    marks.withdrawn.remove(series)
                } else {
                    marks.withdrawn.insert(*series)
                };
            }),
            Event::Fails(step, times) => cloud.order(step.as_str(), Fault::Fails(*times)),
            Event::Hangs(step) => cloud.order(step.as_str(), Fault::Hangs),
            Event::Killed | Event::Interrupted | Event::Passes(_) | Event::Types(_) => {}
        }
    }
}

fn lose_power(cloud: &SimCloud, host: &HostName) {
    cloud.change(host.as_str(), |node| {
        node.up = false;
        node.service = false;
        node.database = false;
    });
}

fn get_power(cloud: &SimCloud, host: &HostName) {
    join_database(cloud, host);
    cloud.change(host.as_str(), |node| {
        node.up = true;
        // systemd starts what is enabled.
        node.service = true;
    });
}

/// A member that joins takes the data of the others.
fn join_database(cloud: &SimCloud, host: &HostName) {
    let others = cloud.declared.nodes.keys().filter(|other| *other != host);
    let heads = others
        .filter_map(|other| cloud.node(other.as_str()))
        .find(|node| node.up && node.database)
        .map(|node| node.heads);
    cloud.change(host.as_str(), |node| {
        node.database = true;
        node.heads = heads.unwrap_or_else(|| node.heads.clone());
    });
}
