//! One line of a log with what is below it, in every form that is known; its masks and what is starred out.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_logs::line::{head, request};
use ostler_logs::mask::{mask, without_secrets};

fuzz_target!(|bytes: &[u8]| {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (line, below) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    if let Some(found) = head(line, below) {
        let details = found.details();
        let _ = request(&found, &details);
    }
    let mut masked = Vec::new();
    mask(line, &mut masked);
    let once = without_secrets(line).into_owned();
    assert_eq!(without_secrets(&once), once, "what is starred out is starred out again");
});
