//! Redfish: the power of a machine through its controller's HTTP API.
//!
//! It must never switch a machine that it only guessed: a controller with several systems must be told which.

use super::secret::SecretFile;
use super::switch::{Controller, Trouble};
use crate::web::{Answer, Ask, Trust, Web, WebError};
use ostler_engine::seam::PowerState;
use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderName};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::sync::{Arc, OnceLock};
use tokio::sync::Mutex;
use tokio::time::Instant;

const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// Characters of a controller's complaint that are shown.
const WORDS_CHARS_MAX: usize = 200;

/// How one logs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Login {
    /// The password goes with each request.
    #[default]
    Basic,
    /// A session is opened and closed again.
    Session,
}

/// A Redfish controller.
#[derive(Clone, Debug)]
pub struct Redfish {
    /// `https://` and its host.
    address: String,
    user: String,
    password: SecretFile,
    login: Login,
    /// Identity or path of the system; none: it has only one.
    system: Option<String>,
    trust: Trust,
    web: Arc<OnceLock<Web>>,
    found: Arc<Mutex<Option<Found>>>,
}

/// What was found out about a controller.
#[derive(Clone, Debug)]
struct Found {
    system: String,
    reset: String,
}

/// How a request shows who it is from.
enum Pass {
    Basic(SecretString),
    Session { token: SecretString, place: Option<String> },
}

impl Redfish {
    /// A controller at an address; connects to nothing.
    pub fn new(
        address: &str,
        user: &str,
        password: SecretFile,
        login: Login,
        system: Option<String>,
        trust: Trust,
    ) -> Self {
        Self {
            address: address.trim_end_matches('/').to_owned(),
            user: user.to_owned(),
            password,
            login,
            system,
            trust,
            web: Arc::default(),
            found: Arc::default(),
        }
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
        pass: Option<&Pass>,
        method: Method,
        path: &str,
        body: Option<&Value>,
        deadline: Instant,
    ) -> Result<Answer, Trouble> {
        let mut headers = vec![(ACCEPT, SecretString::from("application/json".to_owned()))];
        match pass {
            Some(Pass::Basic(header)) => headers.push((AUTHORIZATION, header.clone())),
            Some(Pass::Session { token, .. }) => headers.push((AUTH_TOKEN, token.clone())),
            None => {}
        }
        let ask = Ask {
            method,
            url: format!("{}{path}", self.address),
            headers,
            body: body.map(|body| ("application/json", SecretString::from(body.to_string()))),
            limit: deadline.saturating_duration_since(Instant::now()),
        };
        let answer = self.web()?.ask(ask).await.map_err(|error| self.unanswered(&error))?;
        match answer.status.as_u16() {
            401 | 403 => Err(Trouble::final_(format!(
                "{} does not accept the password of `{}`{}",
                self.address,
                self.user,
                words(&answer)
            ))
            .hint(
                "see to `user` and `password-file`; many controllers lock an account after a few wrong tries",
            )),
            _ => Ok(answer),
        }
    }

    fn unanswered(&self, error: &WebError) -> Trouble {
        match error {
            WebError::Untrusted { fingerprint, .. } => Trouble::final_(format!("{}: {error}", self.address))
                .hint(format!(
                    "if that is the controller's own certificate, pin it: `certificate = \"{fingerprint}\"`; \
                     compare it at the controller, not over this network"
                )),
            WebError::Impossible(_) => Trouble::final_(format!("{}: {error}", self.address)),
            _ => Trouble::new(format!("{} does not answer: {error}", self.address)),
        }
    }

    fn refused(&self, doing: &str, answer: &Answer) -> Trouble {
        let what =
            format!("{doing} at {}: answered {}{}", self.address, answer.status.as_u16(), words(answer));
        // What it has not got it will not have in a second; that it is busy passes.
        if matches!(answer.status.as_u16(), 404 | 405 | 501) {
            Trouble::final_(what)
        } else {
            Trouble::new(what)
        }
    }

    async fn enter(&self, deadline: Instant) -> Result<Pass, Trouble> {
        let password = self.password.read()?;
        match self.login {
            Login::Basic => {
                let plain = format!("{}:{}", self.user, password.expose_secret());
                Ok(Pass::Basic(SecretString::from(format!("Basic {}", base64(plain.as_bytes())))))
            }
            Login::Session => {
                let body = json!({"UserName": self.user, "Password": password.expose_secret()});
                let path = "/redfish/v1/SessionService/Sessions";
                let answer = self.ask(None, Method::POST, path, Some(&body), deadline).await?;
                if !answer.status.is_success() {
                    return Err(self.refused("opening a session", &answer));
                }
                let token = answer.header("x-auth-token").map(str::to_owned);
                let token = token.ok_or_else(|| {
                    Trouble::final_(format!("{} opened a session without a token", self.address))
                })?;
                let place = answer.header("location").map(|place| path_of(place).to_owned());
                Ok(Pass::Session { token: SecretString::from(token), place })
            }
        }
    }

    /// Gives a session back: a controller has room for a handful.
    async fn leave(&self, pass: Pass, deadline: Instant) {
        if let Pass::Session { place: Some(place), .. } = &pass {
            let _ = self.ask(Some(&pass), Method::DELETE, place, None, deadline).await;
        }
    }

    async fn get(&self, pass: &Pass, path: &str, doing: &str, deadline: Instant) -> Result<Value, Trouble> {
        let answer = self.ask(Some(pass), Method::GET, path, None, deadline).await?;
        if !answer.status.is_success() {
            return Err(self.refused(doing, &answer));
        }
        answer
            .json()
            .ok_or_else(|| Trouble::new(format!("{doing} at {}: the answer is no JSON", self.address)))
    }

    async fn find(&self, pass: &Pass, deadline: Instant) -> Result<Found, Trouble> {
        let mut held = self.found.lock().await;
        if let Some(found) = held.as_ref() {
            return Ok(found.clone());
        }
        let system = match &self.system {
            Some(path) if path.starts_with('/') => path.clone(),
            Some(name) => format!("/redfish/v1/Systems/{name}"),
            None => self.only_system(pass, deadline).await?,
        };
        let body = self.get(pass, &system, "looking at the system", deadline).await?;
        let action = body.pointer("/Actions/#ComputerSystem.Reset");
        let target = action.and_then(|action| action.get("target")).and_then(Value::as_str);
        let reset = target.map_or_else(
            || format!("{system}/Actions/ComputerSystem.Reset"),
            |path| path_of(path).to_owned(),
        );
        let found = Found { system, reset };
        *held = Some(found.clone());
        Ok(found)
    }

    async fn only_system(&self, pass: &Pass, deadline: Instant) -> Result<String, Trouble> {
        let body = self.get(pass, "/redfish/v1/Systems", "listing the systems", deadline).await?;
        let members = body.get("Members").and_then(Value::as_array).into_iter().flatten();
        let paths: Vec<&str> =
            members.filter_map(|member| member.get("@odata.id").and_then(Value::as_str)).collect();
        match paths.as_slice() {
            [only] => Ok(path_of(only).to_owned()),
            [] => Err(Trouble::final_(format!("{} has no system", self.address))
                .hint("see whether this is the controller of a machine and not of a chassis")),
            several => {
                Err(Trouble::final_(format!("{} has {} systems", self.address, several.len())).hint(format!(
                    "name one as `system`: {}",
                    several.iter().take(5).copied().collect::<Vec<_>>().join(", ")
                )))
            }
        }
    }

    async fn read_with(&self, pass: &Pass, deadline: Instant) -> Result<PowerState, Trouble> {
        let found = self.find(pass, deadline).await?;
        let body = self.get(pass, &found.system, "reading the power", deadline).await?;
        match body.get("PowerState").and_then(Value::as_str) {
            Some("Off") => Ok(PowerState::Off),
            // On its way is not there yet.
            Some("On" | "PoweringOn" | "PoweringOff" | "Paused") => Ok(PowerState::On),
            other => Err(Trouble::new(format!(
                "{} reads the power as {}",
                self.address,
                other.map_or_else(|| "nothing".to_owned(), |word| format!("`{word}`"))
            ))),
        }
    }

    async fn order_with(&self, pass: &Pass, wanted: PowerState, deadline: Instant) -> Result<(), Trouble> {
        let found = self.find(pass, deadline).await?;
        let kind = match wanted {
            PowerState::Off => "ForceOff",
            PowerState::On => "On",
        };
        let body = json!({"ResetType": kind});
        let answer = self.ask(Some(pass), Method::POST, &found.reset, Some(&body), deadline).await?;
        if answer.status.is_success() {
            Ok(())
        } else {
            Err(self.refused(&format!("ordering {kind}"), &answer))
        }
    }
}

impl Controller for Redfish {
    async fn read(&self, deadline: Instant) -> Result<PowerState, Trouble> {
        let pass = self.enter(deadline).await?;
        let state = self.read_with(&pass, deadline).await;
        self.leave(pass, deadline).await;
        state
    }

    async fn order(&self, wanted: PowerState, deadline: Instant) -> Result<(), Trouble> {
        let pass = self.enter(deadline).await?;
        let done = self.order_with(&pass, wanted, deadline).await;
        self.leave(pass, deadline).await;
        done
    }
}

/// What a controller said of its failure.
fn words(answer: &Answer) -> String {
    let body = answer.json().unwrap_or_default();
    let said = body
        .pointer("/error/@Message.ExtendedInfo/0/Message")
        .or_else(|| body.pointer("/error/message"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    let line = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = line.chars().take(WORDS_CHARS_MAX).collect();
    if short.is_empty() { short } else { format!(": {short}") }
}

/// The path of an address that may be a whole one.
fn path_of(place: &str) -> &str {
    match place.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => place,
    }
}

/// Base64 with padding, as the header of a password wants it.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let all =
            chunk.iter().enumerate().fold(0_u32, |all, (at, byte)| all | u32::from(*byte) << (16 - 8 * at));
        for at in 0..4 {
            let letter = LETTERS[(all >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_as_in_the_standard() {
        for (plain, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn only_the_path_of_an_address_is_taken() {
        assert_eq!(path_of("https://elsewhere/redfish/v1/x"), "/redfish/v1/x");
        assert_eq!(path_of("/redfish/v1/x"), "/redfish/v1/x");
        assert_eq!(path_of("http://h"), "/");
    }
}
