//! Asks each compute service for something that only it can answer: a service may report that it is up and be deaf.
//!
//! It must never ask many at once: a deaf one keeps a worker of the API waiting for a minute.

use super::api::HYPERVISORS;
use super::bucket::Bucket;
use super::rows::{Tables, row};
use crate::openstack::version::{Microversion, Range};
use crate::openstack::{ApiError, OpenStack, quoted};
use ostler_model::health::Value;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Up to this version the uptime is asked of the hypervisor itself; later ones answer from what is kept.
const ASKS_ITSELF: Range = Range::new(Microversion(2, 53), Microversion(2, 87));

/// How long an answer may take. A message there and back takes well below a second.
const LIMIT: Duration = Duration::from_secs(10);

/// Hypervisors asked at the same time: each that is deaf keeps one worker of the API from its work.
const AT_ONCE: usize = 4;

/// Deaf ones after which no more are asked: the trouble is not with single hosts then, and the API needs its workers.
const DEAF_MAX: usize = 3;

/// Asks all compute services that are up.
pub(super) async fn look(openstack: &OpenStack, bucket: &Bucket, tables: &Tables) {
    const DOING: &str = "asking a hypervisor for its uptime";
    let hypervisors = tables.rows("hypervisor");
    if hypervisors.is_empty() {
        return;
    }
    let version = match openstack.version(HYPERVISORS, ASKS_ITSELF, DOING).await {
        Ok(version) => version,
        Err(error) => return tables.gap("ping", None, &error.to_string()),
    };
    tables.seen("ping");
    let (places, deaf) = (Semaphore::new(AT_ONCE), AtomicUsize::new(0));
    let each = hypervisors.iter().map(|hypervisor| async {
        let text = |name: &str| hypervisor.get(name).and_then(Value::text);
        let (Some(id), Some(host)) = (text("id"), text("host")) else { return };
        if text("state") != Some("up") {
            return;
        }
        let _place = places.acquire().await;
        if deaf.load(Ordering::Relaxed) >= DEAF_MAX {
            return tables.gap("ping", Some(host), "others did not answer, so no more were asked");
        }
        bucket.take().await;
        let begun = Instant::now();
        let path = format!("/os-hypervisors/{}/uptime", quoted(id));
        let asked = openstack.versioned(HYPERVISORS, &path, version, DOING);
        let said = tokio::time::timeout(LIMIT, asked).await;
        let ms = Value::Number(begun.elapsed().as_millis() as f64);
        let (answers, why) = match said {
            Ok(Ok(_)) => (true, String::new()),
            // Its driver does not know: but the question came there and back.
            Ok(Err(ApiError::Answered { status: 501, .. })) => (true, String::new()),
            Ok(Err(ApiError::Answered { status: 500 | 504, words, .. })) => (false, words),
            Ok(Err(error)) => return tables.gap("ping", Some(host), &error.to_string()),
            Err(_) => (false, format!("no answer within {} s", LIMIT.as_secs())),
        };
        if !answers {
            deaf.fetch_add(1, Ordering::Relaxed);
        }
        tables.add(
            "ping",
            row([("host", host.into()), ("answers", answers.into()), ("ms", ms), ("why", why.into())]),
        );
    });
    futures_util::future::join_all(each).await;
}
