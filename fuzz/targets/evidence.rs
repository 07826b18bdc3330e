//! A file of collected evidence, as `ostler health --from` reads it: what is read is written and read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_model::health::Evidence;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(evidence) = serde_json::from_slice::<Evidence>(bytes) {
        let again = serde_json::to_string(&evidence).expect("what was read can be written");
        let read = serde_json::from_str::<Evidence>(&again).expect("what was written can be read");
        assert_eq!(serde_json::to_string(&read).ok(), Some(again));
    }
});
