//! The command line: what may be typed, and from there to an exit code.
//!
//! It parses and hands on. It starts nothing that the typed command does not need.

use crate::context::Context;
use crate::failure::{Exit, Failure, Kind};
use crate::printer::{Format, Printer};
use crate::words;
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Day-2 operations for OpenStack clouds: look, plan, upgrade, roll back, and a lab to try it all.
#[derive(Debug, Parser)]
#[command(
    name = "ostler",
    version,
    propagate_version = false,
    arg_required_else_help = true,
    subcommand_required = true,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = "Examples:
  ostler health                                           what is wrong, why, and what to type next
  ostler cloud check                                      what stands in the way of an upgrade
  ostler upgrade plan --only keystone --to 2025.1         what would be done
  ostler upgrade run --only keystone --to 2025.1          do it
  ostler run resume last                                  go on after an interruption
  ostler run rollback last                                take it back
  ostler demo                                             see all that, on a pretended cloud

Exit codes: 0 done, 1 failed, 2 usage, 3 warnings, 4 errors found, 5 refused by a guard,
6 partly done, 7 rolled back, 8 waiting for the operator, 9 held by another run, 130 interrupted."
)]
pub struct CommandLine {
    /// What concerns every command.
    #[command(flatten)]
    pub global: Global,
    /// What is to be done, to what.
    #[command(subcommand)]
    pub noun: Noun,
}

/// What concerns every command.
#[derive(Debug, Args)]
pub struct Global {
    /// The cloud, by its name in ostler.toml.
    #[arg(long, global = true, value_name = "NAME", help_heading = "Everywhere")]
    pub cloud: Option<String>,
    /// The settings file (else OSTLER_CONFIG, ./ostler.toml, the user's, the machine's).
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    pub config: Option<PathBuf>,
    /// Where plans and journals are kept: a file, or mysql://USER@HOST/DATABASE (else OSTLER_STATE, ostler.toml).
    #[arg(long, global = true, value_name = "STORE", help_heading = "Everywhere")]
    pub state: Option<String>,
    /// `text` for people, `json` for programs.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        hide_possible_values = true,
        help_heading = "Everywhere"
    )]
    pub format: Format,
    /// Plain lines instead of a live display.
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub no_progress: bool,
}

/// The nouns.
#[derive(Debug, Subcommand)]
pub enum Noun {
    /// See what is there.
    #[command(subcommand, arg_required_else_help = true)]
    Cloud(words::cloud::Cloud),
    /// See what is wrong with the cloud, the root of trouble first.
    Health(Box<words::health::Health>),
    /// What a code of `ostler health` means, how to see it by hand, and what to do.
    Explain(words::explain::Explain),
    /// Bring a service to another release.
    #[command(subcommand, arg_required_else_help = true)]
    Upgrade(words::upgrade::Upgrade),
    /// See how a plan ends when things go wrong.
    Rehearse(words::rehearse::Rehearse),
    /// See and steer what was begun.
    #[command(subcommand, arg_required_else_help = true)]
    Run(words::run::Run),
    /// Read logs across services and hosts: errors, one request's way, everything in order of time.
    #[command(subcommand, arg_required_else_help = true)]
    Logs(words::logs::Logs),
    /// See which services answer at which addresses, now and last night.
    #[command(subcommand, arg_required_else_help = true)]
    Matrix(words::matrix::Matrix),
    /// Try the cloud as a user would, and take everything away again.
    #[command(subcommand, arg_required_else_help = true)]
    Canary(words::canary::Canary),
    /// Try how machines are switched off, before it is needed.
    #[command(subcommand, arg_required_else_help = true)]
    Power(words::power::Power),
    /// See and steer instance HA: incidents, what is protected, what would come back.
    #[command(subcommand, arg_required_else_help = true)]
    Ha(words::ha::Ha),
    /// Serve instance HA: the Masakari API, for its clients, monitors and dashboards.
    Serve(words::serve::Serve),
    /// Watch a compute host: heartbeats, guests, processes.
    #[command(subcommand, arg_required_else_help = true)]
    Monitor(words::monitor::Monitor),
    /// A real cloud on this machine, to try things on.
    #[command(subcommand, arg_required_else_help = true)]
    Lab(words::lab::Lab),
    /// Measure the main jobs on a lab.
    #[command(subcommand, arg_required_else_help = true)]
    Bench(words::bench::Bench),
    /// See it all on a pretended cloud, in half a minute; needs nothing.
    Demo(words::demo::Demo),
}

/// From what was typed to an exit code.
pub fn main() -> ExitCode {
    let typed = match CommandLine::try_parse() {
        Ok(typed) => typed,
        Err(error) => {
            let words: Vec<String> = std::env::args().skip(1).collect();
            return ExitCode::from(mistyped(Printer::new(Format::Text, true), &error, &words));
        }
    };
    let context = Context::new(&typed.global);
    let outcome = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let outcome = runtime.block_on(until_interrupted(&context, typed.noun));
            // A thread that waits for a person's answer must not keep the program.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(Failure::failed(format!("cannot start: {error}"))),
    };
    ExitCode::from(answer(&context, outcome))
}

/// Says why a command did not do what was asked, if so, and answers its exit code.
pub fn answer(context: &Context, outcome: Result<Exit, Failure>) -> u8 {
    match outcome {
        Ok(exit) => exit.code(),
        Err(failure) => {
            if failure.kind != Kind::NobodyListens {
                context.printer.failure(&failure);
            }
            failure.kind.code()
        }
    }
}

async fn until_interrupted(context: &Context, noun: Noun) -> Result<Exit, Failure> {
    let interrupted = async {
        let (Ok(mut interrupt), Ok(mut terminate)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return std::future::pending().await;
        };
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if !context.stop_softly() {
                return;
            }
        }
    };
    tokio::select! {
        biased;
        () = interrupted => Err(context.interrupted().await),
        outcome = words::speak(context, noun) => outcome,
    }
}

/// Help and version are answers; everything else is a mistake, in the words of the parser.
pub fn mistyped(printer: Printer, error: &clap::Error, words: &[String]) -> u8 {
    let asks = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let wants_json = words.iter().any(|word| word == "--format=json")
        || words.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json");
    if !asks && wants_json {
        let text = error.render().to_string();
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let what = lines.next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let failure = lines.fold(Failure::usage(what), |failure, line| failure.hint(line));
        printer.typed(Format::Json, true).failure(&failure);
    } else {
        printer.mistyped(error);
    }
    if asks { Exit::Done.code() } else { Kind::Usage.code() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_grammar_is_sound() {
        CommandLine::command().debug_assert();
    }
}
