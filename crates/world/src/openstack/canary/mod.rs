//! What a canary does in a cloud, with the calls that a user would make: makes a thing, waits until it can be used, takes
//! it away and waits until it is gone.
//!
//! Nothing is taken away whose name is not the one that was written down for it. It must never choose what is tried, and
//! never make a thing twice: after a lost answer it is looked for by its name.

mod images;
mod servers;
mod things;

use super::error::ApiError;
use super::recovery::ComputeSide;
use ostler_model::canary::{Act, Acted, Kind, NAME_START, NotActed};
use ostler_model::event::Facts;
use ostler_model::step::{Call, Through};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Pause between two looks at something that is under way.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// How long a thing may take until it can be used, or is gone.
const READY_LIMIT: Duration = Duration::from_secs(300);

/// How long a refusal because something still hangs on a thing may last: ports of a server go a little after it.
const BUSY_LIMIT: Duration = Duration::from_secs(60);

/// How long after a lost answer a thing may still come to be, if it was not seen at once.
const LATE: Duration = Duration::from_secs(5);

/// How a thing is.
enum Now {
    Ready(Facts),
    Moving,
    Broken(String),
}

impl ComputeSide {
    /// Carries out one act.
    pub(super) async fn canary(&self, act: &Act) -> Result<Acted, NotActed> {
        match act {
            Act::Token => self.canary_token().await,
            Act::Make { kind, name, made, choices } => match kind {
                Kind::Image => self.make_image(name).await,
                Kind::Server => self.make_server(name, made, choices).await,
                _ => self.make_thing(*kind, name, made).await,
            },
            Act::Checksum { image } => self.compare_image(image).await,
            Act::Console { server } => self.read_console(server).await,
            Act::Migrate { server } => self.migrate_server(server).await,
            Act::Remove { kind, name, id } => self.remove_thing(*kind, name, id.as_deref()).await,
        }
    }

    async fn canary_token(&self) -> Result<Acted, NotActed> {
        use ostler_engine::seam::Cloud;
        let port = self.api().login.credentials.auth_port;
        let calls = [Call::IssueToken {}, Call::ValidateToken {}];
        let called = self.call(&Through::Front { port }, &calls).await;
        let called = called.map_err(|why| NotActed::Failed { what: why.what, id: None })?;
        Ok(acted(None, [("slowest", format!("{} ms", called.slowest_ms))]))
    }
}

fn acted<const N: usize>(id: Option<String>, facts: [(&str, String); N]) -> Acted {
    Acted { id, facts: facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() }
}

fn failed(error: ApiError) -> NotActed {
    failed_with(error, None)
}

fn failed_with(error: ApiError, id: Option<&str>) -> NotActed {
    NotActed::Failed { what: error.to_string(), id: id.map(str::to_owned) }
}

/// Looks until it is ready, at most for the limit.
async fn until_ready<F, Q>(id: &str, mut look: F) -> Result<Facts, NotActed>
where
    F: FnMut() -> Q,
    Q: Future<Output = Result<Now, ApiError>>,
{
    let begun = Instant::now();
    let broken = |what: String| NotActed::Failed { what, id: Some(id.to_owned()) };
    loop {
        let last = match look().await {
            Ok(Now::Ready(facts)) => return Ok(facts),
            Ok(Now::Broken(what)) => return Err(broken(what)),
            Ok(Now::Moving) => format!("{id} is still not ready"),
            Err(error) if error.may_pass() => error.to_string(),
            Err(error) => return Err(failed_with(error, Some(id))),
        };
        if begun.elapsed() >= READY_LIMIT {
            return Err(broken(format!("{last} after {} s", READY_LIMIT.as_secs())));
        }
        sleep(LOOK_PAUSE).await;
    }
}

/// Whether a name is one that a canary gives.
fn is_ours(name: &str) -> bool {
    name.starts_with(NAME_START) && name.len() > NAME_START.len()
}
