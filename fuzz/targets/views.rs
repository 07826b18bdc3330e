//! What other programs say of hosts and guests: Pacemaker's views and libvirt's events.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_world::monitor::cluster::{read_cib, read_crm_mon};
use ostler_world::monitor::guests::read_event;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let _ = read_crm_mon(&text, false);
    let _ = read_crm_mon(&text, true);
    let _ = read_cib(&text);
    for line in text.lines() {
        let _ = read_event(line);
    }
});
