//! The verbs: one file each, in the folder of its noun.
//!
//! A verb reads what was typed, asks the engine and the world, and hands the answer to a view. It decides nothing.

pub mod bench;
pub mod canary;
pub mod cloud;
pub mod demo;
pub mod explain;
pub mod ha;
pub mod health;
pub mod lab;
pub mod logs;
pub mod matrix;
pub mod monitor;
pub mod power;
pub mod rehearse;
pub mod run;
pub mod serve;
pub mod upgrade;

use crate::command_line::Noun;
use crate::context::Context;
use crate::failure::{Exit, Failure};

/// Does what was typed.
pub async fn speak(context: &Context, noun: Noun) -> Result<Exit, Failure> {
    match noun {
        Noun::Cloud(verb) => cloud::speak(context, verb).await,
        Noun::Health(typed) => health::speak(context, *typed).await,
        Noun::Explain(typed) => explain::explain(context, typed).await,
        Noun::Upgrade(verb) => upgrade::speak(context, verb).await,
        Noun::Run(verb) => run::speak(context, verb).await,
        Noun::Logs(verb) => logs::speak(context, verb).await,
        Noun::Matrix(verb) => matrix::speak(context, verb).await,
        Noun::Canary(verb) => canary::speak(context, verb).await,
        Noun::Power(verb) => power::speak(context, verb).await,
        Noun::Ha(verb) => ha::speak(context, verb).await,
        Noun::Monitor(verb) => monitor::speak(context, verb).await,
        Noun::Lab(verb) => lab::speak(context, verb).await,
        Noun::Bench(verb) => bench::speak(context, verb).await,
        Noun::Rehearse(typed) => rehearse::rehearse(context, typed).await,
        Noun::Serve(typed) => serve::serve(context, typed).await,
        Noun::Demo(typed) => demo::demo(context, typed).await,
    }
}
