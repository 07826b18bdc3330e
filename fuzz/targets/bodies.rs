//! What clients send to the Masakari API: a value, or an answer that says what was wrong with it; never a "server error".
#![no_main]

use axum::http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// The readers' own files: a program has no library.
#[allow(dead_code)]
#[path = "../../crates/app/src/masakari"]
mod masakari {
    pub mod fault;
    pub mod input;
}
use masakari::fault::Fault;
use masakari::input;

/// Longest answer to a client.
const ANSWER_BYTES_MAX: usize = 4_096;

fn judged<T>(came: Result<T, Fault>) {
    if let Err(fault) = came {
        assert!(fault.status.is_client_error(), "{} {}", fault.status, fault.message);
        assert!(fault.message.len() < ANSWER_BYTES_MAX, "{}", fault.message.len());
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for key in ["segment", "host", "notification"] {
        let mut object = match input::body(&headers, bytes, key) {
            Ok(object) => object,
            Err(fault) => {
                judged::<()>(Err(fault));
                continue;
            }
        };
        let values: Vec<(String, Value)> = object.clone().into_iter().collect();
        for (name, value) in values {
            judged(input::name(&name, value.clone()));
            judged(input::words(&name, value.clone()));
            judged(input::maybe_words(&name, value.clone()));
            judged(input::letters(&name, value.clone()));
            judged(input::hostname(&name, value.clone()));
            judged(input::short(&name, value.clone()));
            judged(input::truth(&name, value.clone()));
            judged(input::instance(&name, value.clone()));
            judged(input::time(&name, value));
        }
        judged(input::required(&mut object, "name", input::name));
        judged(input::optional(&mut object, "description", input::maybe_words));
        judged(input::nothing_else(&object));
    }
});
