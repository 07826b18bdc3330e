//! The extensions that clients look for. All are always there.
//!
//! It must never list one whose calls are not answered.

use super::fault::Fault;
use super::{Answer, ok};
use serde_json::{Value, json};

const EXTENSIONS: &[(&str, &str, &str)] = &[
    ("extensions", "Extensions", "Lists what can be called."),
    ("notifications", "Notifications", "Takes reports of failures and tells what became of them."),
    ("os-hosts", "Hosts", "Keeps the hosts of a segment."),
    ("segments", "Segments", "Keeps groups of hosts that stand in for each other."),
    ("versions", "Versions", "Tells which versions of the API there are."),
    ("vmoves", "vmoves", "Tells which instances were moved because a host failed."),
];

fn extension((alias, name, description): &(&str, &str, &str)) -> Value {
    json!({ "name": name, "alias": alias, "description": description, "namespace": "", "updated": "", "links": [] })
}

/// `GET /extensions`
pub fn list() -> Answer {
    ok(&json!({ "extensions": EXTENSIONS.iter().map(extension).collect::<Vec<_>>() }))
}

/// `GET /extensions/{alias}`
pub fn show(alias: &str) -> Answer {
    match EXTENSIONS.iter().find(|(known, ..)| *known == alias) {
        Some(found) => ok(&json!({ "extension": extension(found) })),
        None => Err(Fault::missing("Extension", alias)),
    }
}
