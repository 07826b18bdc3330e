//! Fencing: an order, and the reading that proves it.
//!
//! An order that was taken proves nothing. Only a reading of *off* does, or a person's word in the plan; a controller
//! that does not answer never does.

use crate::seam::{PowerReading, PowerState, Seams};
use ostler_model::event::{Facts, Outcome, Why};
use ostler_model::ids::HostName;
use ostler_model::step::{Does, Job, Target};

/// Pause between two readings while a machine goes off or on: a controller needs a few seconds for either.
const READ_PAUSE_MS: u64 = 500;

fn node(job: &Job) -> Result<&HostName, Why> {
    match &job.on {
        Target::Node(host) => Ok(host),
        Target::Cloud => Err(Why::new("power is had by one node at a time")),
    }
}

/// Gives the order of a job. In doubt the answer is `Ok`: the reading decides.
pub(super) async fn order(seams: &Seams, job: &Job) -> Result<(), Why> {
    let host = node(job)?;
    match &job.does {
        Does::Fence { word: Some(_) } => Ok(()),
        // A refused or lost order may still come after one that worked, or the machine may be off already.
        Does::Fence { word: None } => {
            let _read_back = seams.power.off(host).await;
            Ok(())
        }
        Does::PowerOn {} => {
            let _read_back = seams.power.on(host).await;
            Ok(())
        }
        other => Err(Why::new(format!("no power controller can {}", other.name()))),
    }
}

/// Reads until the state is there, or the job's time is over. What could not be proved is not done: the order may be
/// given again without harm.
pub(super) async fn read_back(seams: &Seams, job: &Job) -> Outcome {
    let host = match node(job) {
        Ok(host) => host,
        Err(why) => return Outcome::NotDone { why },
    };
    let wanted = match &job.does {
        Does::Fence { word: Some(word) } => {
            return Outcome::Done {
                facts: Facts::from([
                    ("means".to_owned(), format!("the word of {}", word.who)),
                    ("at".to_owned(), word.at.to_string()),
                    ("why".to_owned(), word.why.clone()),
                ]),
            };
        }
        Does::Fence { word: None } => PowerState::Off,
        _ => PowerState::On,
    };
    let began = seams.clock.now();
    loop {
        let read = seams.power.state(host).await;
        if let Ok(PowerReading { state, means, at }) = &read
            && *state == wanted
        {
            let facts = [("means".to_owned(), means.clone()), ("at".to_owned(), at.to_string())];
            return Outcome::Done { facts: Facts::from(facts) };
        }
        if seams.clock.now().duration_since(began).as_millis() >= i128::from(job.limit_s) * 1000 {
            return Outcome::NotDone { why: unproved(host, wanted, read) };
        }
        seams.clock.sleep(READ_PAUSE_MS).await;
    }
}

fn unproved(host: &HostName, wanted: PowerState, read: Result<PowerReading, Why>) -> Why {
    let word = if wanted == PowerState::Off { "off" } else { "on" };
    match read {
        Err(why) => {
            Why { what: format!("nothing proves that {host} is {word}: {}", why.what), hint: why.hint }
        }
        Ok(reading) => Why::new(format!("{host} was ordered {word} and is not, says {}", reading.means)),
    }
}

/// Whether a machine that was proved to be off reads as on again. A controller that does not answer, for example since
/// it lost its feed with the machine, leaves the proof as it is.
pub(super) async fn still_off(seams: &Seams, host: &HostName) -> Result<(), Why> {
    match seams.power.state(host).await {
        Ok(PowerReading { state: PowerState::On, means, .. }) => {
            Err(Why::new(format!("{host} has power again, says {means}"))
                .hint("it must be off before anything more is moved: each round fences the failed host anew"))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}
