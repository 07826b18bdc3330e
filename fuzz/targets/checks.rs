//! A site's own page of health checks, its expressions and its sentences: an error with its place at most.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_model::health::CheckPage;

/// The reader's own files: the whole library would read all embedded pages for each input.
#[allow(dead_code)]
#[path = "../../crates/engine/src/health"]
mod health {
    mod expr;
    mod template;
    mod value;

    pub fn read(text: &str) {
        if let Err(error) = expr::read(text) {
            assert!(!error.what.is_empty() && error.to_string().contains('^'), "{error}");
        }
        let _ = template::Template::read(text);
    }
}

fuzz_target!(|text: &str| {
    health::read(text);
    if let Err(error) = CheckPage::read("ours.toml", text) {
        assert!(!error.to_string().is_empty());
    }
});
