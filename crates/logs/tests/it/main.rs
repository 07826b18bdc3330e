//! The crate's public face over real files: corpora with their truth, damage of every kind.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what broke by panicking")]

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod damage;
