//! MAAS: finds a machine by its name, switches it off hard, asks its controller until it is off.
//!
//! It must never switch when two machines bear the name, and never believe the state that MAAS remembers: it is asked to
//! query the controller.

use super::secret::SecretFile;
use super::switch::{Controller, Trouble};
use crate::web::{Answer, Ask, Trust, Web, WebError};
use ostler_engine::seam::PowerState;
use ostler_model::Timestamp;
use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::sync::{Arc, OnceLock};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Characters of a complaint that are shown.
const WORDS_CHARS_MAX: usize = 200;

/// A machine that MAAS knows.
#[derive(Clone, Debug)]
pub struct Maas {
    /// `http://maas:5240/MAAS`
    address: String,
    /// The API key: consumer, token and secret, separated by colons.
    key: SecretFile,
    /// The machine's host name there.
    hostname: String,
    trust: Trust,
    web: Arc<OnceLock<Web>>,
    machine: Arc<Mutex<Option<String>>>,
}

impl Maas {
    /// A machine by its name; connects to nothing.
    pub fn new(address: &str, key: SecretFile, hostname: &str, trust: Trust) -> Self {
        let address = address.trim_end_matches('/').trim_end_matches("/api/2.0").to_owned();
        let hostname = hostname.to_owned();
        Self { address, key, hostname, trust, web: Arc::default(), machine: Arc::default() }
    }

    fn web(&self) -> Result<&Web, Trouble> {
        if let Some(web) = self.web.get() {
            return Ok(web);
        }
        let web = Web::new(&self.trust).map_err(|error| Trouble::final_(error.to_string()))?;
        Ok(self.web.get_or_init(|| web))
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        form: Option<&str>,
        doing: &str,
        deadline: Instant,
    ) -> Result<Answer, Trouble> {
        let ask = Ask {
            method,
            url: format!("{}/api/2.0{path}", self.address),
            headers: vec![
                (AUTHORIZATION, oauth(&self.key.read()?, Timestamp::now().as_second())?),
                (ACCEPT, SecretString::from("application/json".to_owned())),
            ],
            body: form.map(|form| ("application/x-www-form-urlencoded", SecretString::from(form.to_owned()))),
            limit: deadline.saturating_duration_since(Instant::now()),
        };
        let answer = self.web()?.ask(ask).await.map_err(|error| match &error {
            WebError::Untrusted { .. } => Trouble::final_(format!("{}: {error}", self.address))
                .hint("name its authority's certificate as `ca`, or pin its own as `certificate`"),
            WebError::Impossible(_) => Trouble::final_(format!("{}: {error}", self.address)),
            _ => Trouble::new(format!("MAAS at {} does not answer: {error}", self.address)),
        })?;
        let status = answer.status.as_u16();
        if answer.status.is_success() {
            return Ok(answer);
        }
        let said: String = String::from_utf8_lossy(&answer.body)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .chars()
            .take(WORDS_CHARS_MAX)
            .collect();
        let what = format!("{doing}: MAAS at {} answered {status}: {said}", self.address);
        Err(match status {
            401 | 403 => Trouble::final_(what)
                .hint("see to the API key in `password-file`: `maas apikey --username NAME`"),
            300..=399 | 404 | 405 => Trouble::final_(what)
                .hint("the address is the one of its pages, for example http://maas:5240/MAAS"),
            _ => Trouble::new(what),
        })
    }

    /// The machine's identity there.
    async fn machine(&self, deadline: Instant) -> Result<String, Trouble> {
        let mut held = self.machine.lock().await;
        if let Some(machine) = held.as_ref() {
            return Ok(machine.clone());
        }
        let path = format!("/machines/?hostname={}", crate::openstack::quoted(&self.hostname));
        let answer = self.ask(Method::GET, &path, None, "looking for the machine", deadline).await?;
        let body = answer.json().unwrap_or_default();
        let listed = body.as_array().map(Vec::as_slice).unwrap_or_default();
        let named =
            |machine: &&Value| machine.get("hostname").and_then(Value::as_str) == Some(&self.hostname);
        let found: Vec<&str> = listed
            .iter()
            .filter(named)
            .filter_map(|machine| machine.get("system_id").and_then(Value::as_str))
            .collect();
        let [only] = found.as_slice() else {
            let what =
                format!("MAAS at {} has {} machines named `{}`", self.address, found.len(), self.hostname);
            return Err(Trouble::final_(what).hint("name it as MAAS does: `system`"));
        };
        *held = Some((*only).to_owned());
        Ok((*only).to_owned())
    }
}

/// The header of OAuth 1.0 with a plain signature: the consumer's secret is empty.
fn oauth(key: &SecretString, now: i64) -> Result<SecretString, Trouble> {
    let parts: Vec<&str> = key.expose_secret().split(':').collect();
    let [consumer, token, secret] = parts.as_slice() else {
        return Err(Trouble::final_("the API key of MAAS is not three parts with colons between")
            .hint("put what `maas apikey --username NAME` prints into `password-file`"));
    };
    let nonce = uuid::Uuid::now_v7().simple().to_string();
    Ok(SecretString::from(format!(
        "OAuth oauth_version=\"1.0\", oauth_signature_method=\"PLAINTEXT\", oauth_consumer_key=\"{consumer}\", \
         oauth_token=\"{token}\", oauth_signature=\"%26{secret}\", oauth_nonce=\"{nonce}\", oauth_timestamp=\"{now}\""
    )))
}

impl Controller for Maas {
    async fn read(&self, deadline: Instant) -> Result<PowerState, Trouble> {
        let machine = self.machine(deadline).await?;
        let path = format!("/machines/{machine}/?op=query_power_state");
        let answer = self.ask(Method::GET, &path, None, "querying the power", deadline).await?;
        let body = answer.json().unwrap_or_default();
        match body.get("state").and_then(Value::as_str) {
            Some("off") => Ok(PowerState::Off),
            Some("on") => Ok(PowerState::On),
            Some(other) => {
                Err(Trouble::new(format!("MAAS reads the power of {} as `{other}`", self.hostname))
                    .hint("see to the power settings of the machine in MAAS"))
            }
            None => Err(Trouble::new(format!("MAAS does not say how the power of {} is", self.hostname))),
        }
    }

    async fn order(&self, wanted: PowerState, deadline: Instant) -> Result<(), Trouble> {
        let machine = self.machine(deadline).await?;
        let (operation, form) = match wanted {
            PowerState::Off => ("power_off", "stop_mode=hard&comment=fenced+by+ostler"),
            PowerState::On => ("power_on", "comment=by+ostler"),
        };
        let path = format!("/machines/{machine}/?op={operation}");
        self.ask(Method::POST, &path, Some(form), operation, deadline).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_the_one_that_maas_wants() {
        let header = oauth(&SecretString::from("con:tok:sec".to_owned()), 7).unwrap();
        let header = header.expose_secret();
        for part in [
            "PLAINTEXT",
            "oauth_consumer_key=\"con\"",
            "oauth_token=\"tok\"",
            "oauth_signature=\"%26sec\"",
            "oauth_timestamp=\"7\"",
        ] {
            assert!(header.contains(part), "{header}");
        }
        let trouble = oauth(&SecretString::from("hunter2".to_owned()), 7).unwrap_err();
        assert!(trouble.is_final && !trouble.what.contains("hunter2"));
    }
}
