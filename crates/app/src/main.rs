//! `ostler`: day-2 operations for OpenStack clouds, from the command line.
//!
//! This crate has the words: commands, settings, pages, progress. It must never hold a rule about upgrades or
//! recoveries; those are decisions, and decisions live in the engine.

mod approval;
mod command_line;
mod context;
mod duration;
mod failure;
mod going;
mod instance_ha;
mod masakari;
mod planning;
mod printer;
mod progress;
mod rehearsed;
mod running;
mod serve;
mod settings;
mod stage;
#[cfg(test)]
mod stories;
mod survey;
mod view;
mod wiring;
mod words;

fn main() -> std::process::ExitCode {
    command_line::main()
}
