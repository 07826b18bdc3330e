//! A packed log that may be cut, damaged or a bomb: an error at most.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_logs::read::unpacked;
use std::io::{Cursor, Read};

/// What is unpacked of a bomb.
const BYTES_MAX: u64 = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(reader) = unpacked(Cursor::new(bytes.to_vec())) {
        let _ = std::io::copy(&mut reader.take(BYTES_MAX), &mut std::io::sink());
    }
});
