//! Plays scripts in an operator's words: the real commands, from the parser to the printer, on a pretended cloud.
//!
//! `ostler demo` plays one script and the tests play many. A script pretends the world and the person who types;
//! it must never reach past a seam, and never stands in for a decision of the engine.

mod event;
mod forms;
mod player;
mod register;
mod scene;
mod script;
mod wings;

#[cfg(test)]
pub use forms::{EVENTS, MOMENTS};
pub use player::{Played, Ran, Showing, play};
pub use script::Script;
#[cfg(test)]
pub use script::split;
