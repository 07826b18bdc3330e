//! Calls to a cloud's APIs with an operator's credentials: one token, one look at the versions of each service, a
//! bounded number of requests under way.
//!
//! It must never repeat a call that may have had an effect. A call is repeated once, with a new token, when the service
//! refused the old one: then it is known that it had none.

use super::catalogue::Service;
use super::clouds_yaml::Credentials;
use super::error::{ApiError, words_of};
use super::gate::Gate;
use super::login::Login;
use super::version::{Microversion, Range, announced};
use crate::web::{Answer, Ask, Web, WebError};
use ostler_model::function::Offer;
use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderName};
use secrecy::SecretString;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Mutex;

/// How long one call may take. An API that is busy with an evacuation storm answers late, but it answers.
const CALL_LIMIT: Duration = Duration::from_secs(60);

/// Pages of one list that are read: a thousand servers each, and no cloud has a million of them on one host.
const PAGES_MAX: usize = 1_000;

/// What is wanted of every service; files come as they are.
const ACCEPTED: &str = "application/json, application/octet-stream";

const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-openstack-request-id");
const API_VERSION: HeaderName = HeaderName::from_static("openstack-api-version");

/// A cloud's APIs.
#[derive(Debug)]
pub struct OpenStack {
    pub(super) login: Login,
    web: OnceLock<Web>,
    services: Mutex<BTreeMap<&'static str, Arc<Endpoint>>>,
    gates: std::sync::Mutex<BTreeMap<&'static str, Arc<Gate>>>,
    requests: AtomicU64,
    bytes: AtomicU64,
}

/// A service as it was found.
#[derive(Clone, Debug)]
struct Endpoint {
    url: String,
    least: Microversion,
    most: Microversion,
}

/// A call.
pub(super) struct Call<'a> {
    pub service: &'static Service,
    pub method: Method,
    /// Below the service's address, with its query.
    pub path: &'a str,
    pub version: Microversion,
    pub body: Option<Value>,
    /// In words, for an error.
    pub doing: &'a str,
}

/// What a service answered to a call that it accepted.
#[derive(Debug)]
pub(crate) struct Reply {
    pub body: Value,
    pub request: Option<String>,
}

impl OpenStack {
    /// A cloud's APIs; connects to nothing.
    pub fn new(credentials: Credentials) -> Self {
        Self {
            web: OnceLock::new(),
            login: Login::new(credentials),
            services: Mutex::new(BTreeMap::new()),
            gates: std::sync::Mutex::new(BTreeMap::new()),
            requests: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// Reads the authorities' certificates when they are first needed: most commands ask no API.
    pub(super) fn web(&self) -> Result<&Web, WebError> {
        if let Some(web) = self.web.get() {
            return Ok(web);
        }
        let web = Web::new(&self.login.credentials.trust)
            .map_err(|error| WebError::Impossible(error.to_string()))?;
        Ok(self.web.get_or_init(|| web))
    }

    /// How many requests were sent so far, tokens and versions included.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// How many bytes of answers came so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The newest version that the service and a call both speak.
    pub(crate) async fn version(
        &self,
        service: &'static Service,
        needed: Range,
        doing: &str,
    ) -> Result<Microversion, ApiError> {
        let endpoint = self.endpoint(service, doing).await?;
        needed.choose(endpoint.least, endpoint.most).ok_or_else(|| ApiError::Version {
            doing: doing.to_owned(),
            service: service.header,
            needed,
            least: endpoint.least,
            most: endpoint.most,
        })
    }

    /// Makes a call; the answer is one that the service gives when it has accepted it.
    pub(super) async fn call(&self, call: Call<'_>) -> Result<Reply, ApiError> {
        let endpoint = self.endpoint(call.service, call.doing).await?;
        self.answered(&call, &format!("{}{}", endpoint.url, call.path)).await
    }

    /// The same at an address that is known already.
    pub(super) async fn answered(&self, call: &Call<'_>, url: &str) -> Result<Reply, ApiError> {
        let answer = self.send(call, url).await?;
        let request = request_of(&answer);
        if !answer.status.is_success() {
            return Err(ApiError::Answered {
                doing: call.doing.to_owned(),
                status: answer.status.as_u16(),
                words: words_of(&answer.body),
                request,
            });
        }
        if answer.body.is_empty() {
            return Ok(Reply { body: Value::Null, request });
        }
        let body = answer.json().ok_or_else(|| ApiError::Odd {
            doing: call.doing.to_owned(),
            what: "it is no JSON".to_owned(),
            request: request.clone(),
        })?;
        Ok(Reply { body, request })
    }

    /// Reads a list to its end.
    pub(crate) async fn list(
        &self,
        service: &'static Service,
        path: &str,
        key: &str,
        version: Microversion,
        doing: &str,
    ) -> Result<Vec<Value>, ApiError> {
        let mut all = Vec::new();
        self.pages(service, path, key, version, doing, |mut page| all.append(&mut page)).await?;
        Ok(all)
    }

    /// Reads a list to its end, page by page, and keeps none of them.
    pub(crate) async fn pages(
        &self,
        service: &'static Service,
        path: &str,
        key: &str,
        version: Microversion,
        doing: &str,
        mut take: impl FnMut(Vec<Value>),
    ) -> Result<(), ApiError> {
        let odd =
            |what: String, request: Option<String>| ApiError::Odd { doing: doing.to_owned(), what, request };
        let base = path.split_once('?').map_or(path, |(base, _)| base);
        let mut path = path.to_owned();
        for _ in 0..PAGES_MAX {
            let reply = self
                .call(Call { service, method: Method::GET, path: &path, version, body: None, doing })
                .await?;
            let mut body = reply.body;
            let Some(Value::Array(page)) = body.get_mut(key).map(Value::take) else {
                return Err(odd(format!("it holds no list `{key}`"), reply.request));
            };
            let was_empty = page.is_empty();
            take(page);
            // Only the query is taken: behind a load balancer the address in a link may be one that leads nowhere.
            let links = body.get(format!("{key}_links")).and_then(Value::as_array).into_iter().flatten();
            let next = links
                .filter(|link| link.get("rel").and_then(Value::as_str) == Some("next"))
                .find_map(|link| link.get("href")?.as_str()?.split_once('?'))
                .map(|(_, query)| format!("{base}?{query}"));
            match next {
                Some(next) if next != path && !was_empty => path = next,
                _ => return Ok(()),
            }
        }
        Err(odd(format!("it has more than {PAGES_MAX} pages"), None))
    }

    /// The services that the catalogue has for these credentials' interface and region.
    pub(super) async fn offers(&self) -> Result<Vec<Offer>, ApiError> {
        let session = self.session().await?;
        let credentials = &self.login.credentials;
        let mut offers = session.catalogue.offers(credentials.interface, credentials.region.as_deref());
        for offer in &mut offers {
            if let Some(url) = credentials.endpoints.get(&offer.kind) {
                offer.url.clone_from(url);
            }
        }
        Ok(offers)
    }

    /// The address of a service's major version, as the catalogue has it: services without microversions announce
    /// nothing that a call depends on.
    pub(super) async fn address(&self, service: &'static Service) -> Result<String, ApiError> {
        let session = self.session().await?;
        let credentials = &self.login.credentials;
        let given = service.kinds.iter().find_map(|kind| credentials.endpoints.get(*kind));
        let url = match given {
            Some(url) => url.as_str(),
            None => session.catalogue.url(service, credentials.interface, credentials.region.as_deref())?,
        };
        let url = url.trim_end_matches('/');
        let (_, versioned) = split(url, service);
        Ok(below(url, &versioned))
    }

    /// Makes a call to such a service. What is sent that is no JSON has its media type beside it.
    pub(super) async fn call_plain(
        &self,
        call: &Call<'_>,
        content: Option<(&'static str, &str)>,
    ) -> Result<Answer, ApiError> {
        let url = format!("{}{}", self.address(call.service).await?, call.path);
        let answer = self.send_with(call, &url, content).await?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(ApiError::Answered {
            doing: call.doing.to_owned(),
            status: answer.status.as_u16(),
            words: words_of(&answer.body),
            request: request_of(&answer),
        })
    }

    async fn send(&self, call: &Call<'_>, url: &str) -> Result<Answer, ApiError> {
        self.send_with(call, url, None).await
    }

    async fn send_with(
        &self,
        call: &Call<'_>,
        url: &str,
        content: Option<(&'static str, &str)>,
    ) -> Result<Answer, ApiError> {
        let mut is_second = false;
        loop {
            let session = self.session().await?;
            let body = match content {
                Some((media, text)) => Some((media, SecretString::from(text.to_owned()))),
                None => {
                    call.body.as_ref().map(|body| ("application/json", SecretString::from(body.to_string())))
                }
            };
            let asked = format!("req-{}", uuid::Uuid::now_v7());
            let version = format!("{} {}", call.service.header, call.version);
            let ask = Ask {
                method: call.method.clone(),
                url: url.to_owned(),
                headers: vec![
                    (AUTH_TOKEN, session.token.clone()),
                    (REQUEST_ID, SecretString::from(asked)),
                    (API_VERSION, SecretString::from(version)),
                    (ACCEPT, SecretString::from(if content.is_some() { "*/*" } else { ACCEPTED }.to_owned())),
                ],
                body,
                limit: CALL_LIMIT,
            };
            let answer = self.ask(call.service, ask).await.map_err(|error| failed(call.doing, error))?;
            if answer.status.as_u16() == 401 && !is_second {
                self.login.forget(&session).await;
                is_second = true;
                continue;
            }
            return Ok(answer);
        }
    }

    pub(super) async fn session(&self) -> Result<Arc<super::login::Session>, ApiError> {
        let web = self.web().map_err(|error| failed("connecting to the cloud", error))?;
        self.login.session(web, &self.requests).await
    }

    async fn ask(&self, service: &'static Service, ask: Ask) -> Result<Answer, WebError> {
        let gate = self.gate(service);
        let _place = gate.enter().await;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let answer = self.web()?.ask(ask).await?;
        self.bytes.fetch_add(answer.body.len() as u64, Ordering::Relaxed);
        match answer.status.as_u16() {
            429 | 503 => gate.was_too_much(answer.retry_after()),
            _ => gate.was_good(),
        }
        Ok(answer)
    }

    fn gate(&self, service: &'static Service) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Arc::clone(gates.entry(service.header).or_insert_with(|| Arc::new(Gate::new())))
    }

    /// Where a service is and what it speaks: asked once, by one request at a time.
    async fn endpoint(&self, service: &'static Service, doing: &str) -> Result<Arc<Endpoint>, ApiError> {
        let mut services = self.services.lock().await;
        if let Some(known) = services.get(service.header) {
            return Ok(Arc::clone(known));
        }
        let found = Arc::new(self.discover(service, doing).await?);
        services.insert(service.header, Arc::clone(&found));
        Ok(found)
    }

    /// Forgets what the services spoke: after an upgrade they speak more.
    pub async fn look_again(&self) {
        self.services.lock().await.clear();
    }

    async fn discover(&self, service: &'static Service, doing: &str) -> Result<Endpoint, ApiError> {
        let session = self.session().await?;
        let credentials = &self.login.credentials;
        let given = service.kinds.iter().find_map(|kind| credentials.endpoints.get(*kind));
        let url = match given {
            Some(url) => url.as_str(),
            None => session.catalogue.url(service, credentials.interface, credentials.region.as_deref())?,
        };
        let url = url.trim_end_matches('/');
        let (root, versioned) = split(url, service);
        // The version's own document first: it is what the calls go to. The root knows it, too, where that one
        // answers with something else.
        let places = if versioned == root { vec![root.clone()] } else { vec![versioned.clone(), root] };
        let mut refusal = None;
        for place in places {
            let call = Call {
                service,
                method: Method::GET,
                path: "",
                version: Microversion(service.major, if service.major == 2 { 1 } else { 0 }),
                body: None,
                doing,
            };
            let answer = self.send(&call, &format!("{place}/")).await?;
            let document = answer.json();
            // A list of versions comes with 300.
            if let Some((least, most)) =
                document.as_ref().and_then(|document| announced(document, service.major))
            {
                let url = if url == place { place } else { below(url, &versioned) };
                return Ok(Endpoint { url, least, most });
            }
            refusal = refusal.or(Some(match answer.status.is_success() {
                true => ApiError::Odd {
                    doing: doing.to_owned(),
                    what: format!("{place}/ announces no version {} of {}", service.major, service.header),
                    request: request_of(&answer),
                },
                false => ApiError::Answered {
                    doing: format!("{doing}: asking {place}/ for its versions"),
                    status: answer.status.as_u16(),
                    words: words_of(&answer.body),
                    request: request_of(&answer),
                },
            }));
        }
        Err(refusal.unwrap_or_else(|| ApiError::Odd {
            doing: doing.to_owned(),
            what: "no version is announced".to_owned(),
            request: None,
        }))
    }
}

fn failed(doing: &str, error: WebError) -> ApiError {
    let doing = doing.to_owned();
    if error.nothing_was_sent() {
        ApiError::NotSent { doing, error }
    } else {
        ApiError::Lost { doing, error }
    }
}

fn request_of(answer: &Answer) -> Option<String> {
    let named = answer.header("x-openstack-request-id").or_else(|| answer.header("x-compute-request-id"));
    named.map(str::to_owned)
}

/// The root of a service and the address of its version, from what the catalogue has: with or without the version,
/// with or without a project behind it.
pub(super) fn split(url: &str, service: &Service) -> (String, String) {
    let is_version = |part: &str| {
        part.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let parts: Vec<&str> = url.split('/').collect();
    match parts.iter().skip(3).position(|part| is_version(part)) {
        Some(at) => {
            let (root, version) = (&parts[..at + 3], &parts[..at + 4]);
            (root.join("/"), version.join("/"))
        }
        None => (url.to_owned(), format!("{url}{}", service.path)),
    }
}

/// Where calls go: to the catalogue's address, if it names the version, else to the version's.
pub(super) fn below(url: &str, versioned: &str) -> String {
    if url.starts_with(versioned) { url.to_owned() } else { versioned.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::{COMPUTE, PLACEMENT};
    use super::*;

    #[test]
    fn the_catalogue_s_address_may_have_a_version_and_a_project_or_not() {
        for (url, root, versioned, calls) in [
            ("http://h:8774/v2.1", "http://h:8774", "http://h:8774/v2.1", "http://h:8774/v2.1"),
            ("http://h:8774/v2.1/abc", "http://h:8774", "http://h:8774/v2.1", "http://h:8774/v2.1/abc"),
            ("http://h:8774", "http://h:8774", "http://h:8774/v2.1", "http://h:8774/v2.1"),
            (
                "https://h/compute/v2.1",
                "https://h/compute",
                "https://h/compute/v2.1",
                "https://h/compute/v2.1",
            ),
            (
                "https://v2.example/compute",
                "https://v2.example/compute",
                "https://v2.example/compute/v2.1",
                "https://v2.example/compute/v2.1",
            ),
        ] {
            let (found_root, found) = split(url, &COMPUTE);
            assert_eq!(
                (found_root.as_str(), found.as_str(), below(url, &found).as_str()),
                (root, versioned, calls)
            );
        }
        assert_eq!(split("http://h/placement", &PLACEMENT).1, "http://h/placement");
    }
}
