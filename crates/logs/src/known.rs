//! What is known of things that logs say: which saying has which cause, as data.
//!
//! Pages are data (`data/known.toml`). Nothing here may hold a saying in code.

use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// A known cause.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Its stable code.
    pub code: String,
    /// Pieces that must all be there.
    pub says: Vec<String>,
    /// What it means.
    pub means: String,
    /// What to do next.
    pub next: String,
}

#[derive(Deserialize)]
struct Pages {
    known: Vec<Known>,
}

static KNOWN: LazyLock<Vec<Known>> = LazyLock::new(|| {
    // A test reads the same pages: they are sound in what is built.
    toml::from_str::<Pages>(include_str!("../data/known.toml")).map(|pages| pages.known).unwrap_or_default()
});

/// The first known cause whose every saying is in the text.
pub fn known(text: &[u8]) -> Option<&'static Known> {
    KNOWN
        .iter()
        .find(|known| known.says.iter().all(|says| memchr::memmem::find(text, says.as_bytes()).is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_are_sound() {
        let pages: Pages = toml::from_str(include_str!("../data/known.toml")).unwrap();
        for known in &pages.known {
            assert!(!known.says.is_empty() && known.says.iter().all(|says| says.len() > 3), "{}", known.code);
        }
    }

    #[test]
    fn a_saying_finds_its_cause() {
        let code = |text: &str| known(text.as_bytes()).map(|known| known.code.as_str());
        assert_eq!(code("AMQP server on 10.0.0.1:5672 is unreachable"), Some("MQ_UNREACHABLE"));
        assert_eq!(code("Failed to bind port x on host y"), Some("NET_PORT_BINDING_FAILED"));
        assert_eq!(code("all is well"), None);
    }
}
