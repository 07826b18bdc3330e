//! Text of logs at gigabytes a second: records, errors grouped, many files in one order of time, requests counted, one
//! request followed through every service.
//!
//! Bytes go in, records come out. It knows how lines look and which words stand for what; it must never speak to a node, ask a
//! clock, or print.

pub mod clock;
pub mod corpus;
pub mod group;
pub mod known;
pub mod line;
pub mod mask;
pub mod merge;
pub mod place;
pub mod rate;
pub mod read;
pub mod record;
pub mod trace;
