//! What nodes answer to a survey and to a look at their health: facts and gaps, whatever they print.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_model::Timestamp;
use ostler_model::health::Evidence;

/// The readers' own files: they are nobody's business outside their crate.
#[allow(dead_code)]
#[path = "../../crates/world/src/node"]
mod node {
    pub mod parse;
    pub mod redact;
}

#[allow(dead_code)]
#[path = "../../crates/world/src/health"]
mod health {
    mod parse;
    mod rows;

    pub fn read(text: &str, evidence: super::Evidence) -> super::Evidence {
        let tables = rows::Tables::new(evidence);
        let _ = parse::report(text, "ctl1", &tables);
        tables.into_evidence()
    }
}

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let wanted = node::parse::Wanted { galera: true, schemas: true, databases: &["keystone", "nova"] };
    let _ = node::parse::report(&text, &wanted);
    let _ = health::read(&text, Evidence::new("c", Timestamp::UNIX_EPOCH));
    let clean = node::redact::redact(&text);
    assert_eq!(node::redact::redact(&clean), clean, "what is starred out is starred out again");
});
