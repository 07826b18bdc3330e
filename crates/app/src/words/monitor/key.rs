//! `ostler monitor key HOST`: a host's own key, made from the servers' key.
//!
//! The only place that prints a key, because it was asked to.

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::settings::monitor::unusable;
use clap::Args;
use ostler_world::monitor::keys::{KeyError, ServerKeys};
use serde_json::json;
use std::path::PathBuf;

/// Make a host's key: what it prints belongs into a file on that host that only root may read.
#[derive(Debug, Args)]
pub struct Key {
    /// The host, by the name under which it reports.
    #[arg(value_name = "HOST")]
    host: String,
    /// The servers' key: the same file on all servers, on no compute host.
    #[arg(long, value_name = "FILE", default_value = "/etc/ostler/server.key")]
    key_file: PathBuf,
}

pub(super) fn key(context: &Context, typed: Key) -> Result<Exit, Failure> {
    let keys = ServerKeys::read(&[typed.key_file]).map_err(|error| {
        let is_missing = matches!(&error, KeyError::File { .. });
        let make = "make one: `umask 077; head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \\n' > /etc/ostler/server.key`";
        unusable(error).maybe_hint(is_missing.then_some(make))
    })?;
    let key = keys.of(&typed.host).next().ok_or_else(|| Failure::failed("there is no key"))?;
    match context.printer.is_json() {
        true => context.printer.json(&json!({"host": typed.host, "key": key.reveal()}))?,
        false => context.printer.text(key.reveal())?,
    }
    Ok(Exit::Done)
}
