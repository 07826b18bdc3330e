//! Lists of services that are only looked at: whatever they hold, page by page, as they say it.
//!
//! It must never change anything: every request here is a GET.

use super::catalogue::Service;
use super::client::{Call, OpenStack, Reply, below, split};
use super::error::ApiError;
use super::version::Microversion;
use crate::web::Ask;
use reqwest::Method;
use serde_json::Value;
use std::time::Duration;

/// Pages of one list that are read: a thousand items each.
const PAGES_MAX: usize = 500;

/// Networks, ports, routers, agents.
pub(crate) const NETWORK: Service =
    Service { kinds: &["network"], major: 2, path: "/v2.0", header: "network" };

/// Volumes.
pub(crate) const VOLUME: Service =
    Service { kinds: &["block-storage", "volumev3", "volume"], major: 3, path: "/v3", header: "volume" };

/// Images.
pub(crate) const IMAGE: Service = Service { kinds: &["image"], major: 2, path: "/v2", header: "image" };

/// Projects.
pub(crate) const IDENTITY: Service =
    Service { kinds: &["identity"], major: 3, path: "/v3", header: "identity" };

/// Stacks.
pub(crate) const ORCHESTRATION: Service =
    Service { kinds: &["orchestration"], major: 1, path: "/v1", header: "orchestration" };

/// Load balancers of users.
pub(crate) const BALANCING: Service =
    Service { kinds: &["load-balancer"], major: 2, path: "/v2", header: "load-balancer" };

/// Recovery of instances.
pub(crate) const INSTANCE_HA: Service =
    Service { kinds: &["instance-ha", "ha"], major: 1, path: "/v1", header: "instance-ha" };

/// An address of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub kind: String,
    pub interface: String,
    pub region: Option<String>,
    pub url: String,
}

impl OpenStack {
    /// Every address of the catalogue.
    pub(crate) async fn addresses(&self) -> Result<Vec<Address>, ApiError> {
        Ok(self.session().await?.catalogue.all())
    }

    /// The region and interface that this program asks.
    pub(crate) fn asks(&self) -> (&'static str, Option<&str>) {
        (self.login.credentials.interface.as_str(), self.login.credentials.region.as_deref())
    }

    /// What anybody is answered at an address: status and body. No token is sent.
    pub(crate) async fn anybody(&self, url: &str, limit: Duration) -> Result<(u16, String), String> {
        let ask = Ask { method: Method::GET, url: url.to_owned(), headers: Vec::new(), body: None, limit };
        let web = self.web().map_err(|error| error.to_string())?;
        let answer = web.ask(ask).await.map_err(|error| error.to_string())?;
        Ok((answer.status.as_u16(), String::from_utf8_lossy(&answer.body).into_owned()))
    }

    /// A list of a service that knows no microversions, or of which the oldest tells enough.
    pub(crate) async fn plain_list(
        &self,
        service: &'static Service,
        path: &str,
        key: &str,
        doing: &str,
    ) -> Result<Vec<Value>, ApiError> {
        let mut all = Vec::new();
        self.plain_pages(service, path, key, doing, |mut page| all.append(&mut page)).await?;
        Ok(all)
    }

    /// The same page by page; none of them is kept.
    pub(crate) async fn plain_pages(
        &self,
        service: &'static Service,
        path: &str,
        key: &str,
        doing: &str,
        mut take: impl FnMut(Vec<Value>),
    ) -> Result<(), ApiError> {
        let mut rest = path.to_owned();
        for _ in 0..PAGES_MAX {
            let mut reply = self.plain(service, &rest, doing).await?;
            let Some(Value::Array(page)) = reply.body.get_mut(key).map(Value::take) else {
                return Err(ApiError::Odd {
                    doing: doing.to_owned(),
                    what: format!("it holds no list `{key}`"),
                    request: reply.request,
                });
            };
            let was_empty = page.is_empty();
            take(page);
            let base = path.split_once('?').map_or(path, |(base, _)| base);
            match next_query(&reply.body, key) {
                Some(query) if !was_empty && format!("{base}?{query}") != rest => {
                    rest = format!("{base}?{query}");
                }
                _ => return Ok(()),
            }
        }
        let what = format!("it has more than {PAGES_MAX} pages");
        Err(ApiError::Odd { doing: doing.to_owned(), what, request: None })
    }

    /// One answer of a service with microversions.
    pub(crate) async fn versioned(
        &self,
        service: &'static Service,
        path: &str,
        version: Microversion,
        doing: &str,
    ) -> Result<Reply, ApiError> {
        self.call(Call { service, method: Method::GET, path, version, body: None, doing }).await
    }

    /// One answer.
    pub(crate) async fn plain(
        &self,
        service: &'static Service,
        path: &str,
        doing: &str,
    ) -> Result<Reply, ApiError> {
        let session = self.session().await?;
        let credentials = &self.login.credentials;
        let given = service.kinds.iter().find_map(|kind| credentials.endpoints.get(*kind));
        let url = match given {
            Some(url) => url.as_str(),
            None => session.catalogue.url(service, credentials.interface, credentials.region.as_deref())?,
        };
        let url = url.trim_end_matches('/');
        let (_, versioned) = split(url, service);
        let base = below(url, &versioned);
        let version = Microversion(service.major, 0);
        let call = Call { service, method: Method::GET, path, version, body: None, doing };
        self.answered(&call, &format!("{base}{path}")).await
    }
}

/// The query of the next page, in the ways in which services name it. Only the query is taken: behind a load balancer the
/// address in a link may be one that leads nowhere.
fn next_query(body: &Value, key: &str) -> Option<String> {
    let listed = body.get(format!("{key}_links")).and_then(Value::as_array).into_iter().flatten();
    let linked = listed
        .filter(|link| link.get("rel").and_then(Value::as_str) == Some("next"))
        .find_map(|link| link.get("href")?.as_str());
    let single = || body.get("next").and_then(Value::as_str);
    let nested = || body.pointer("/links/next").and_then(Value::as_str);
    let next = linked.or_else(single).or_else(nested)?;
    next.split_once('?').map(|(_, query)| query.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_way_to_name_the_next_page_is_understood() {
        let links = json!({"ports_links": [{"rel": "next", "href": "http://h/v2.0/ports?marker=a&limit=2"}]});
        assert_eq!(next_query(&links, "ports").as_deref(), Some("marker=a&limit=2"));
        assert_eq!(
            next_query(&json!({"next": "/v2/images?marker=b"}), "images").as_deref(),
            Some("marker=b")
        );
        assert_eq!(
            next_query(&json!({"links": {"next": "http://h?c=1"}}), "projects").as_deref(),
            Some("c=1")
        );
        assert_eq!(next_query(&json!({"links": {"next": null}}), "projects"), None);
    }
}
