//! A site's own page of health checks: an error with its place at most.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_engine::health::Library;

fuzz_target!(|text: &str| {
    // Half of them as a whole page, half as one expression within a page that is right.
    let expression = serde_json::to_string(text).unwrap_or_default();
    let page = format!("title = \"Ours\"\nrank = 70\n[[check]]\ncode = \"OURS\"\ntitle = \"t\"\nover = \"node\"\nwarning = {expression}\nobject = \"{{host}}\"\nsays = {expression}\ncause = \"c\"\nfix = \"f\"\nverify = []\n");
    for page in [text.to_owned(), page] {
        if let Err(error) = Library::with_site(&[("ours.toml".to_owned(), page)]) {
            assert!(!error.to_string().is_empty());
        }
    }
});
