//! An operator's word that a machine is off: they stand beside it, or pulled its plug.
//!
//! It must never be made up, and never be good for ever: the machine may have been switched on since.

use ostler_engine::seam::Fut;
use ostler_model::Timestamp;
use ostler_model::ids::HostName;
use std::sync::Arc;

use super::switch::Trouble;

/// How long a word is good. A recovery that begins later needs a new look at the machine.
const GOOD_FOR_S: i64 = 3_600;

/// What somebody vouched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Who.
    pub who: String,
    /// When.
    pub at: Timestamp,
    /// Their reason.
    pub reason: String,
}

/// Looks up the last word about a host, wherever words are kept.
pub type Words = Arc<dyn for<'a> Fn(&'a HostName) -> Fut<'a, Option<Word>> + Send + Sync>;

/// What a word proves now.
pub(super) async fn vouched(words: &Words, host: &HostName, now: Timestamp) -> Result<String, Trouble> {
    let confirm = format!("look at the machine, then say so: `ostler ha confirm-down {host}`");
    match words(host).await {
        None => Err(Trouble::final_(format!("nobody has said that {host} is off")).hint(confirm)),
        Some(word) if now.as_second() - word.at.as_second() > GOOD_FOR_S => Err(Trouble::final_(format!(
            "{} said at {} that {host} is off: that is too long ago",
            word.who, word.at
        ))
        .hint(confirm)),
        Some(word) => Ok(format!("{} says so ({}), at {}", word.who, word.reason, word.at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_word_is_good_for_an_hour_and_a_missing_one_is_asked_for() {
        let now: Timestamp = "2026-11-01T12:00:00Z".parse().unwrap();
        let words: Words = Arc::new(|host| {
            let at = match host.as_str() {
                "new" => "2026-11-01T11:30:00Z",
                "old" => "2026-11-01T09:30:00Z",
                _ => return Box::pin(async { None }),
            };
            let word = Word { who: "ann".into(), at: at.parse().unwrap(), reason: "pulled the plug".into() };
            Box::pin(async move { Some(word) })
        });
        let said = async |host: &str| vouched(&words, &host.into(), now).await;
        assert_eq!(said("new").await.unwrap(), "ann says so (pulled the plug), at 2026-11-01T11:30:00Z");
        for host in ["old", "none"] {
            let hint = said(host).await.unwrap_err().hint.unwrap();
            assert!(hint.contains(&format!("confirm-down {host}")), "{hint}");
        }
    }
}
