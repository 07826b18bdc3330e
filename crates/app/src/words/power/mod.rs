//! `ostler power`: reads and switches the power of one machine, as a recovery would, to try the settings.
//!
//! It asks no cloud: whether instances run on the machine is for the person who types to know.

mod off;
mod on;
mod state;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::instance_ha;
use clap::Subcommand;
use ostler_model::ids::HostName;
use ostler_world::power::{Machines, Proof, Refusal};
use serde_json::json;

/// Try how machines are switched off, before it is needed.
#[derive(Debug, Subcommand)]
pub enum Power {
    /// Read whether a machine has power, or all of them.
    State(state::State),
    /// Switch a machine off and read back that it is.
    Off(off::Off),
    /// Switch a machine on.
    On(on::On),
}

pub(super) async fn speak(context: &Context, verb: Power) -> Result<Exit, Failure> {
    match verb {
        Power::State(typed) => state::state(context, typed).await,
        Power::Off(typed) => off::off(context, typed).await,
        Power::On(typed) => on::on(context, typed).await,
    }
}

/// The machines of the cloud that is meant.
async fn machines(context: &Context) -> Result<Machines, Failure> {
    let power = context.cloud()?.power.clone();
    // A machine must be switched off also while the state is away: only persons' words are missing then.
    Ok(match context.store().await {
        Ok(store) => Machines::new(power, instance_ha::words(store)),
        Err(_) => Machines::without_words(power),
    })
}

/// What was proved.
fn tell(context: &Context, host: &HostName, word: &str, proof: &Proof) -> Result<Exit, Failure> {
    if context.printer.is_json() {
        context.printer.json(&json!({
            "host": host.as_str(), "power": word, "means": proof.means, "what": proof.what,
            "at": proof.at, "took-ms": proof.took_ms, "is-proof": proof.is_proof,
        }))?;
    } else {
        let seconds = proof.took_ms as f64 / 1_000.0;
        let says = if proof.is_proof { format!("{host} is {word}") } else { format!("{host}: nobody knows") };
        context.printer.text(&format!("{says}, by `{}` in {seconds:.1} s: {}", proof.means, proof.what))?;
    }
    Ok(if proof.is_proof { Exit::Done } else { Exit::Warnings })
}

fn failed(refusal: Refusal) -> Failure {
    Failure::failed(refusal.what).maybe_hint(refusal.hint)
}
