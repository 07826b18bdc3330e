//! Starts what tells others of this server: figures for who scrapes them, a webhook, Alertmanagers.
//!
//! Whatever is wrong with a receiver's address is said before the server listens; what goes wrong later never ends it.

use super::figures::{Figures, MEDIA_TYPE};
use super::herald::{Herald, herald};
use super::watch::{Watch, watch};
use crate::context::Context;
use crate::failure::Failure;
use crate::instance_ha::policy;
use crate::masakari::Api;
use crate::settings::Events;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, Request, Response};
use ostler_world::announce::{Alertmanager, Webhook};
use ostler_world::web::{Trust, TrustError};
use std::sync::Arc;
use std::time::Instant;

/// Who is told.
pub struct Tellers {
    webhook: Option<Webhook>,
    alertmanagers: Vec<Alertmanager>,
}

impl Tellers {
    /// Checks addresses and authorities; connects to nothing.
    pub fn prepare(events: &Events) -> Result<Tellers, Failure> {
        let trust = events.ca.clone().map_or(Trust::System, Trust::File);
        let wrong = |error: TrustError| {
            Failure::usage(error.to_string()).hint("see to `ca` below `[serve.events]` in ostler.toml")
        };
        let webhook = events
            .webhook
            .as_ref()
            .map(|url| Webhook::new(url, events.webhook_secret.clone(), &trust).map_err(wrong));
        let alertmanagers =
            events.alertmanagers.iter().map(|url| Alertmanager::new(url, &trust).map_err(wrong));
        Ok(Tellers { webhook: webhook.transpose()?, alertmanagers: alertmanagers.collect::<Result<_, _>>()? })
    }

    /// Begins to tell; it goes on by itself until the program ends.
    pub fn begin(self, context: &Context, api: &Arc<Api>, figures: &Arc<Figures>, events: &Events) {
        let printer = context.printer;
        let complain = move || -> Box<dyn Fn(&str) + Send + Sync> {
            Box::new(move |line: &str| printer.progress_line(line))
        };
        let looks = Watch {
            store: Arc::clone(&api.store),
            clock: Arc::clone(&api.clock),
            figures: Arc::clone(figures),
            alertmanagers: self.alertmanagers,
            events: events.clone(),
            policy: policy(context),
            complain: complain(),
        };
        tokio::spawn(watch(looks));
        if let Some(webhook) = self.webhook {
            let tells = Herald {
                store: Arc::clone(&api.store),
                clock: Arc::clone(&api.clock),
                figures: Arc::clone(figures),
                webhook,
                policy: policy(context),
                owner: context.lease_owner(),
                is_gone: context.is_gone(),
                complain: complain(),
            };
            tokio::spawn(herald(tells));
        }
    }
}

/// `GET /metrics`
pub async fn metrics(State((_, figures)): State<(Arc<Api>, Arc<Figures>)>) -> Response<Body> {
    let mut response = Response::new(Body::from(figures.text()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    response
}

/// Answers a request and counts it.
pub async fn counted<F>(
    figures: &Figures,
    request: Request<Body>,
    answer: impl FnOnce(Request<Body>) -> F,
) -> Response<Body>
where
    F: Future<Output = Response<Body>>,
{
    // Clients may send any word as a method: a figure has few labels.
    let known = [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::HEAD, Method::PATCH];
    let method = known.iter().find(|method| *method == request.method()).map_or("other", Method::as_str);
    let method = method.to_owned();
    let begun = Instant::now();
    let response = answer(request).await;
    figures.answered(&method, response.status().as_u16(), begun.elapsed().as_secs_f64());
    response
}
