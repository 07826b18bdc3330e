//! The server: opens what it needs, listens, and ends without breaking off an answer.
//!
//! Any number of servers may work on one state at the same time. It decides nothing about recoveries.

mod figures;
mod health;
mod herald;
mod notify;
mod recovery;
mod tell;
mod tidy;
mod watch;

#[cfg(test)]
pub use tidy::settle;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::masakari::{Api, Authentication, DOCUMENT, IsComputeHost, Policy};
use crate::settings::Serve;
use crate::settings::monitor::unusable;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Request, Response, StatusCode};
use axum::routing::get;
use figures::Figures;
use health::Looker;
use ostler_engine::seam::Store;
use ostler_world::monitor::keys::ServerKeys;
use ostler_world::openstack::{Credentials, Tokens};
use ostler_world::system::SystemClock;
use recovery::Recoverer;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tell::Tellers;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// How long answers that are under way may take when the server is told to end.
const FAREWELL: Duration = Duration::from_secs(10);

/// How long the state may take to answer before a load balancer is told to look elsewhere.
const HEALTH_LIMIT: Duration = Duration::from_secs(3);

/// A server that is ready to listen.
pub struct Server {
    api: Arc<Api>,
    figures: Arc<Figures>,
    tellers: Tellers,
    wanted: Serve,
    recoverer: Option<Recoverer>,
    looker: Option<Looker>,
}

impl Server {
    /// Opens what the server needs; whatever is wrong is said here.
    pub async fn prepare(context: &Context, wanted: &Serve) -> Result<Server, Failure> {
        let policy = match &wanted.policy {
            Some(path) => Policy::read(path)?,
            None => Policy::default(),
        };
        let (authentication, is_compute_host) = match &wanted.keystone {
            None => (Authentication::Nobody, None),
            Some(access) => {
                let credentials = Credentials::read(&access.clouds_yaml, &access.entry).map_err(|error| {
                    Failure::usage(error.to_string()).hint(
                        "the server's own account is the entry `clouds-entry` of `clouds-yaml` below `[serve]`",
                    )
                })?;
                let tokens = Tokens::new(credentials, access.remember_s)
                    .map_err(|error| Failure::usage(error.to_string()))?;
                let tokens = Arc::new(tokens);
                let realm = access.realm.clone().unwrap_or_else(|| tokens.place());
                let asked = wanted.checks_hosts.then(|| is_compute_host(&tokens));
                (Authentication::Keystone { tokens, realm }, asked)
            }
        };
        let keys = match wanted.server_keys.as_slice() {
            [] => None,
            paths => Some(ServerKeys::read(paths).map_err(unusable)?),
        };
        let recoverer = match &wanted.recovery {
            None => None,
            Some(recovery) => Some(Recoverer::prepare(context, recovery, keys.as_ref()).await?),
        };
        let looker = match &wanted.health {
            None => None,
            Some(looks) => Some(Looker::prepare(context, looks, &wanted.events)?),
        };
        let store = context.store().await?;
        let printer = context.printer;
        let api = Api {
            store,
            clock: Arc::new(SystemClock),
            authentication,
            host_keys: keys,
            policy,
            is_compute_host,
            link_prefix: wanted.link_prefix.clone(),
            reported: Arc::new(Notify::new()),
            complain: Box::new(move |line| printer.progress_line(line)),
        };
        let (figures, tellers) = (Arc::default(), Tellers::prepare(&wanted.events)?);
        Ok(Server { api: Arc::new(api), figures, tellers, wanted: wanted.clone(), recoverer, looker })
    }

    /// Serves until it is told to end.
    pub async fn run(mut self, context: &Context) -> Result<Exit, Failure> {
        let listen = self.wanted.listen;
        let listener = TcpListener::bind(listen).await.map_err(|error| {
            Failure::failed(format!("cannot listen on {listen}: {error}"))
                .hint("see who does with `ss -ltnp`, or choose another address with `--listen` or `listen` below `[serve]`")
        })?;
        let address = listener.local_addr().unwrap_or(listen);
        let known_by = if self.wanted.keystone.is_some() { "keystone" } else { "noauth" };
        let printer = context.printer;
        if known_by == "noauth" {
            printer.progress_line(
                "warning: there is no authentication: whoever reaches this address may do everything",
            );
        }
        match &mut self.recoverer {
            Some(recoverer) => {
                recoverer.listen().await?;
                recoverer.words().iter().for_each(|line| printer.progress_line(line));
            }
            None => printer.progress_line(
                "warning: nothing is recovered: reports are kept and shown, no host is fenced, no instance is moved; add `[serve.recovery]` to ostler.toml",
            ),
        }
        let router = router(&self.api, &self.figures, self.wanted.disabled_by.clone());
        self.tellers.begin(context, &self.api, &self.figures, &self.wanted.events);
        let ending = Arc::new(Notify::new());
        let told = Arc::clone(&ending);
        let serving =
            axum::serve(listener, router).with_graceful_shutdown(async move { told.notified().await });
        let tidying = tidy::tidy(Arc::clone(&self.api), self.wanted.keep_s);
        let recoverer = self.recoverer;
        let recovering = async {
            match recoverer {
                Some(recoverer) => recoverer.recover(context).await,
                None => std::future::pending().await,
            }
        };
        let looker = self.looker;
        let figures = Arc::clone(&self.figures);
        let looking = async {
            match &looker {
                Some(looker) => looker.look_again_and_again(context, &figures).await,
                None => std::future::pending().await,
            }
        };
        let mut serving = Box::pin(std::future::IntoFuture::into_future(serving));
        printer.progress_line(&format!("serving instance HA on http://{address} (auth: {known_by})"));
        notify::ready();
        tokio::select! {
            ended = &mut serving => {
                return match ended {
                    Ok(()) => Ok(Exit::Done),
                    Err(error) => Err(Failure::failed(format!("the server ended: {error}"))),
                };
            }
            why = recovering => return Err(Failure::failed(why).hint("start the server again")),
            () = tidying => {}
            () = looking => {}
            () = notify::keep_alive() => {}
            () = context.until_stopped() => {}
        }
        notify::stopping();
        printer.progress_line("ending: answers that are under way are finished");
        ending.notify_one();
        if tokio::time::timeout(FAREWELL, serving).await.is_err() {
            printer.progress_line(&format!(
                "some answers took longer than {} s and were broken off",
                FAREWELL.as_secs()
            ));
        }
        Ok(Exit::Done)
    }
}

/// Everything that is answered.
fn router(api: &Arc<Api>, figures: &Arc<Figures>, disabled_by: Option<PathBuf>) -> Router {
    let store = Arc::clone(&api.store);
    let health = move || is_well(Arc::clone(&store), disabled_by.clone());
    let document = || async { json(StatusCode::OK, DOCUMENT.to_owned()) };
    Router::new()
        .route("/healthcheck", get(health))
        .route("/openapi.json", get(document))
        .route("/metrics", get(tell::metrics))
        .fallback(answer)
        .with_state((Arc::clone(api), Arc::clone(figures)))
}

async fn answer(
    State((api, figures)): State<(Arc<Api>, Arc<Figures>)>,
    request: Request<Body>,
) -> Response<Body> {
    tell::counted(&figures, request, |request| api.answer(request)).await
}

/// Whether a load balancer should send clients here.
async fn is_well(store: Arc<dyn Store>, disabled_by: Option<PathBuf>) -> Response<Body> {
    let reason = match disabled_by.filter(|path| path.exists()) {
        Some(_) => Some("DISABLED BY FILE"),
        None => match tokio::time::timeout(HEALTH_LIMIT, store.lease("healthcheck")).await {
            Ok(Ok(_)) => None,
            _ => Some("THE STATE DOES NOT ANSWER"),
        },
    };
    let status = if reason.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, json!({ "detailed": false, "reasons": [reason.unwrap_or("OK")] }).to_string())
}

fn json(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn is_compute_host(tokens: &Arc<Tokens>) -> IsComputeHost {
    let tokens = Arc::clone(tokens);
    Box::new(move |name| {
        let tokens = Arc::clone(&tokens);
        Box::pin(async move {
            match tokens.is_compute_host(&name).await {
                // A cloud without a compute service has no host that could be checked.
                Ok(known) => Ok(known.unwrap_or(true)),
                Err(error) => Err(error.to_string()),
            }
        })
    })
}
