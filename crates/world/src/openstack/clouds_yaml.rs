//! Reads an entry of `clouds.yaml`, with its secrets from `secure.yaml` beside it.
//!
//! It must never quote what it read in an error: the next line may be a password.

use crate::web::Trust;
use secrecy::SecretString;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Bytes of a file of credentials that are read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Who logs in, and how.
#[derive(Clone, Debug)]
pub enum Identity {
    /// A user with a password.
    Password {
        /// The user.
        user: Named,
        /// The password.
        password: SecretString,
    },
    /// An application credential; it brings its own scope.
    ApplicationCredential {
        /// The credential: by identity, or by name together with its user.
        credential: Named,
        /// Whose it is, where it is given by name.
        user: Option<Named>,
        /// The secret.
        secret: SecretString,
    },
    /// A token that somebody else was given. It cannot be renewed beyond its end.
    Token {
        /// The token.
        token: SecretString,
    },
}

/// Which of a service's addresses are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interface {
    /// The one for everybody.
    #[default]
    Public,
    /// The one inside the cloud's own network.
    Internal,
    /// The one for operators.
    Admin,
}

impl Interface {
    /// As the catalogue calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Interface::Public => "public",
            Interface::Internal => "internal",
            Interface::Admin => "admin",
        }
    }
}

/// Something by identity, or by name within a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// By identity.
    Id(String),
    /// By name.
    Name {
        /// The name.
        name: String,
        /// Its domain, where it has one.
        domain: Option<Box<Named>>,
    },
}

/// What a token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A project.
    Project(Named),
    /// A domain.
    Domain(Named),
    /// The cloud as a whole.
    System,
    /// Nothing in particular.
    None,
}

/// An entry's credentials.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The entry's name.
    pub entry: String,
    /// Whether the identity service is spoken to through TLS.
    pub auth_tls: bool,
    /// Host of the identity service's address.
    pub auth_host: String,
    /// Its port.
    pub auth_port: u16,
    /// The path before `/v3`, without a slash at its end.
    pub auth_path: String,
    /// Who logs in.
    pub identity: Identity,
    /// For what.
    pub scope: Scope,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// The region, where one is named.
    pub region: Option<String>,
    /// Which of a service's addresses are used.
    pub interface: Interface,
    /// Addresses that stand instead of the catalogue's, by type of service.
    pub endpoints: BTreeMap<String, String>,
}

impl Credentials {
    /// The identity service's address, before `/v3`.
    pub fn auth_url(&self) -> String {
        let scheme = if self.auth_tls { "https" } else { "http" };
        let host = match self.auth_host.contains(':') {
            true => format!("[{}]", self.auth_host),
            false => self.auth_host.clone(),
        };
        format!("{scheme}://{host}:{}{}", self.auth_port, self.auth_path)
    }
}

/// What is wrong with credentials: the file, the entry, the key.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file cannot be read.
    #[error("the credentials in {} cannot be read: {reason}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A file is no YAML of the right shape.
    #[error("{} is not a clouds file that can be read: something is wrong at {place}", path.display())]
    Yaml {
        /// Which file.
        path: PathBuf,
        /// Line and column.
        place: String,
    },
    /// There is no such entry.
    #[error("{} has no cloud `{entry}`; it has {there}", path.display())]
    NoEntry {
        /// Which file.
        path: PathBuf,
        /// What was asked for.
        entry: String,
        /// What is there.
        there: String,
    },
    /// A key is missing or cannot be used.
    #[error("{}, cloud `{entry}`, `{key}`: {reason}", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// Which entry.
        entry: String,
        /// Which key.
        key: String,
        /// What is wrong.
        reason: String,
    },
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Named::Id(id) => f.pad(id),
            Named::Name { name, .. } => f.pad(name),
        }
    }
}

impl Credentials {
    /// Reads an entry of a clouds file, and what `secure.yaml` in the same directory adds to it.
    pub fn read(path: &Path, entry: &str) -> Result<Self, CredentialsError> {
        let mut clouds = clouds(path)?;
        let there: Vec<String> = clouds.keys().map(|name| format!("`{name}`")).collect();
        let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
        let no_entry = || CredentialsError::NoEntry { path: path.to_owned(), entry: entry.to_owned(), there };
        let mut cloud = clouds.remove(entry).ok_or_else(no_entry)?;
        let secure = path.with_file_name("secure.yaml");
        if secure.exists()
            && let Some(more) = self::clouds(&secure)?.remove(entry)
        {
            merge(&mut cloud, more);
        }
        Entry { path, name: entry, cloud: &cloud }.credentials()
    }
}

fn clouds(path: &Path) -> Result<Map<String, Value>, CredentialsError> {
    let failed = |reason: String| CredentialsError::File { path: path.to_owned(), reason };
    let size = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if size > FILE_BYTES_MAX {
        return Err(failed(format!("it is bigger than {FILE_BYTES_MAX} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let document: Value = serde_saphyr::from_str(&text).map_err(|error| {
        let place = error.location().map_or_else(
            || "an unknown place".to_owned(),
            |location| format!("line {}, column {}", location.line(), location.column()),
        );
        CredentialsError::Yaml { path: path.to_owned(), place }
    })?;
    match document.get("clouds") {
        Some(Value::Object(clouds)) => Ok(clouds.clone()),
        _ => Err(failed("it has no `clouds`".to_owned())),
    }
}

/// Puts one tree over another; what is new wins.
fn merge(base: &mut Value, more: Value) {
    match (base, more) {
        (Value::Object(base), Value::Object(more)) => {
            for (key, value) in more {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, more) => *base = more,
    }
}

struct Entry<'a> {
    path: &'a Path,
    name: &'a str,
    cloud: &'a Value,
}

impl Entry<'_> {
    fn wrong(&self, key: &str, reason: impl Into<String>) -> CredentialsError {
        CredentialsError::Key {
            path: self.path.to_owned(),
            entry: self.name.to_owned(),
            key: key.to_owned(),
            reason: reason.into(),
        }
    }

    /// A value below `auth`. Numbers are taken as they would be typed: a password may look like one.
    fn auth(&self, key: &str) -> Option<String> {
        match self.cloud.get("auth")?.get(key)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    fn needed(&self, key: &str) -> Result<String, CredentialsError> {
        self.auth(key)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| self.wrong(&format!("auth.{key}"), "it is missing"))
    }

    fn domain(&self, kind: &str) -> Option<Named> {
        let by_id = self.auth(&format!("{kind}_domain_id")).or_else(|| self.auth("default_domain_id"));
        let by_name = self.auth(&format!("{kind}_domain_name")).or_else(|| self.auth("default_domain_name"));
        let own_name = self.auth(&format!("{kind}_domain_name"));
        match (own_name, by_id, by_name) {
            (Some(name), _, _) | (None, None, Some(name)) => Some(Named::Name { name, domain: None }),
            (None, Some(id), _) => Some(Named::Id(id)),
            (None, None, None) => None,
        }
    }

    fn named(&self, kind: &str, id: &str, name: &str) -> Result<Option<Named>, CredentialsError> {
        if let Some(id) = self.auth(id) {
            return Ok(Some(Named::Id(id)));
        }
        let Some(name) = self.auth(name) else { return Ok(None) };
        let domain = self.domain(kind).ok_or_else(|| {
            self.wrong(
                &format!("auth.{kind}_domain_name"),
                format!("it is missing, and the {kind} `{name}` is given by name"),
            )
        })?;
        Ok(Some(Named::Name { name, domain: Some(Box::new(domain)) }))
    }

    fn user(&self) -> Result<Option<Named>, CredentialsError> {
        self.named("user", "user_id", "username")
    }

    fn scope(&self) -> Result<Scope, CredentialsError> {
        if self.auth("system_scope").is_some() {
            return Ok(Scope::System);
        }
        let project = self.named("project", "project_id", "project_name")?;
        if let Some(project) = project {
            return Ok(Scope::Project(project));
        }
        match (self.auth("domain_id"), self.auth("domain_name")) {
            (Some(id), _) => Ok(Scope::Domain(Named::Id(id))),
            (None, Some(name)) => Ok(Scope::Domain(Named::Name { name, domain: None })),
            (None, None) => Ok(Scope::None),
        }
    }

    fn credentials(&self) -> Result<Credentials, CredentialsError> {
        let (auth_tls, auth_host, auth_port, auth_path) = self.address(&self.needed("auth_url")?)?;
        let kind = self.cloud.get("auth_type").and_then(Value::as_str).unwrap_or("password");
        let (identity, scope) = match kind {
            "password" | "v3password" => {
                let user = self.user()?.ok_or_else(|| self.wrong("auth.username", "it is missing"))?;
                let password = SecretString::from(self.needed("password")?);
                (Identity::Password { user, password }, self.scope()?)
            }
            "v3applicationcredential" | "application_credential" => {
                let secret = SecretString::from(self.needed("application_credential_secret")?);
                let (credential, user) = match self.auth("application_credential_id") {
                    Some(id) => (Named::Id(id), None),
                    None => {
                        let name = self.needed("application_credential_name")?;
                        let user = self.user()?.ok_or_else(|| {
                            self.wrong(
                                "auth.username",
                                "it is missing, and the application credential is given by name",
                            )
                        })?;
                        (Named::Name { name, domain: None }, Some(user))
                    }
                };
                (Identity::ApplicationCredential { credential, user, secret }, Scope::None)
            }
            "token" | "v3token" => {
                (Identity::Token { token: SecretString::from(self.needed("token")?) }, self.scope()?)
            }
            other => {
                let reason = format!(
                    "`{other}` is not spoken; use `password`, `v3applicationcredential` or `v3token`"
                );
                return Err(self.wrong("auth_type", reason));
            }
        };
        Ok(Credentials {
            entry: self.name.to_owned(),
            auth_tls,
            auth_host,
            auth_port,
            auth_path,
            identity,
            scope,
            trust: self.trust()?,
            region: self.text("region_name")?,
            interface: self.interface()?,
            endpoints: self.endpoints(),
        })
    }

    /// A text beside `auth`.
    fn text(&self, key: &str) -> Result<Option<String>, CredentialsError> {
        match self.cloud.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.wrong(key, "it is not a text")),
        }
    }

    fn trust(&self) -> Result<Trust, CredentialsError> {
        match self.cloud.get("verify") {
            None | Some(Value::Null | Value::Bool(true)) => {}
            Some(Value::Bool(false)) => return Ok(Trust::Anyone),
            Some(_) => return Err(self.wrong("verify", "it is neither `true` nor `false`")),
        }
        Ok(match self.text("cacert")? {
            None => Trust::System,
            Some(file) => Trust::File(match (file.strip_prefix("~/"), std::env::var_os("HOME")) {
                (Some(rest), Some(home)) => Path::new(&home).join(rest),
                _ => self.path.parent().unwrap_or(Path::new("")).join(file),
            }),
        })
    }

    fn interface(&self) -> Result<Interface, CredentialsError> {
        let (key, named) = match self.text("interface")? {
            Some(named) => ("interface", Some(named)),
            None => ("endpoint_type", self.text("endpoint_type")?),
        };
        match named.as_deref().map(|named| named.trim_end_matches("URL")) {
            None | Some("public") => Ok(Interface::Public),
            Some("internal") => Ok(Interface::Internal),
            Some("admin") => Ok(Interface::Admin),
            Some(other) => {
                Err(self.wrong(key, format!("`{other}` is none of `public`, `internal` and `admin`")))
            }
        }
    }

    fn endpoints(&self) -> BTreeMap<String, String> {
        let keys = self.cloud.as_object().into_iter().flatten();
        keys.filter_map(|(key, value)| {
            let kind = key.strip_suffix("_endpoint_override")?;
            Some((kind.replace('_', "-"), value.as_str()?.to_owned()))
        })
        .collect()
    }

    /// Whether TLS, host, port and path of an address.
    fn address(&self, url: &str) -> Result<(bool, String, u16, String), CredentialsError> {
        let wrong = |reason: &str| self.wrong("auth.auth_url", reason);
        let (tls, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(wrong("it is not an address that begins with https:// or http://")),
        };
        let (authority, path) =
            rest.split_once('/').map_or((rest, ""), |(authority, path)| (authority, path));
        if authority.contains('@') {
            return Err(wrong("it holds a user; put it into `username` and `password`"));
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                (host, port.parse().map_err(|_| wrong("its port is not a number from 1 to 65535"))?)
            }
            _ => (authority, if tls { 443 } else { 80 }),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(wrong("it names no host"));
        }
        let path = path.trim_end_matches('/');
        let path =
            path.strip_suffix("v3").filter(|path| path.is_empty() || path.ends_with('/')).unwrap_or(path);
        let path = path.trim_matches('/');
        let path = if path.is_empty() { String::new() } else { format!("/{path}") };
        Ok((tls, host.to_owned(), port, path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    const CLOUDS: &str = "
clouds:
  lab:
    auth:
      auth_url: http://198.18.7.10:5000/v3
      username: admin
      project_name: admin
      user_domain_name: Default
      project_domain_id: default
    region_name: RegionOne
  app:
    auth_type: v3applicationcredential
    auth: {auth_url: 'http://[2001:db8::1]/identity', application_credential_id: abc, application_credential_secret: hunter2}
  tls:
    auth: {auth_url: 'https://cloud.example.com/v3', user_id: a, password: hunter2}
    cacert: ca.pem
    interface: internalURL
    region_name: north
    compute_endpoint_override: https://nova.example.com/v2.1
  odd:
    auth: {auth_url: 'https://cloud.example.com/v3', user_id: a, password: hunter2}
    interface: secret
  token:
    auth_type: v3token
    auth: {auth_url: 'https://cloud.example.com:5000', token: hunter2, project_id: p}
    verify: false
  number:
    auth: {auth_url: 'http://h:5000', user_id: u, password: 1234, system_scope: all}
  poor:
    auth: {auth_url: 'http://h:5000', username: u, password: hunter2}
";

    fn files(clouds: &str, secure: Option<&str>) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("clouds.yaml");
        std::fs::write(&path, clouds).unwrap();
        if let Some(secure) = secure {
            std::fs::write(directory.path().join("secure.yaml"), secure).unwrap();
        }
        (directory, path)
    }

    fn error(clouds: &str, entry: &str) -> String {
        let (_directory, path) = files(clouds, None);
        Credentials::read(&path, entry).unwrap_err().to_string()
    }

    #[test]
    fn a_password_comes_from_beside() {
        let secure = "clouds:\n  lab:\n    auth:\n      password: hunter2\n";
        let (_directory, path) = files(CLOUDS, Some(secure));
        let credentials = Credentials::read(&path, "lab").unwrap();
        assert_eq!(
            (credentials.auth_host.as_str(), credentials.auth_port, credentials.auth_path.as_str()),
            ("198.18.7.10", 5000, "")
        );
        let Identity::Password { user, password } = &credentials.identity else { panic!() };
        let domain = Box::new(Named::Name { name: "Default".into(), domain: None });
        assert_eq!(*user, Named::Name { name: "admin".into(), domain: Some(domain) });
        assert_eq!(password.expose_secret(), "hunter2");
        let domain = Box::new(Named::Id("default".into()));
        assert_eq!(
            credentials.scope,
            Scope::Project(Named::Name { name: "admin".into(), domain: Some(domain) })
        );
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }

    #[test]
    fn other_kinds_of_credentials_are_read() {
        let (_directory, path) = files(CLOUDS, None);
        let app = Credentials::read(&path, "app").unwrap();
        assert_eq!(
            (app.auth_host.as_str(), app.auth_port, app.auth_path.as_str()),
            ("2001:db8::1", 80, "/identity")
        );
        assert!(matches!(
            app.identity,
            Identity::ApplicationCredential { credential: Named::Id(_), user: None, .. }
        ));
        let number = Credentials::read(&path, "number").unwrap();
        let Identity::Password { password, .. } = &number.identity else { panic!() };
        assert_eq!((password.expose_secret(), number.scope), ("1234", Scope::System));
    }

    #[test]
    fn what_is_said_of_tls_regions_and_addresses_is_read() {
        let (directory, path) = files(CLOUDS, None);
        let tls = Credentials::read(&path, "tls").unwrap();
        assert_eq!(tls.auth_url(), "https://cloud.example.com:443");
        assert_eq!(tls.trust, Trust::File(directory.path().join("ca.pem")));
        assert_eq!((tls.interface, tls.region.as_deref()), (Interface::Internal, Some("north")));
        assert_eq!(tls.endpoints["compute"], "https://nova.example.com/v2.1");
        let token = Credentials::read(&path, "token").unwrap();
        assert!(matches!(token.identity, Identity::Token { .. }));
        assert_eq!((token.trust, token.interface), (Trust::Anyone, Interface::Public));
        let app = Credentials::read(&path, "app").unwrap();
        assert_eq!(app.auth_url(), "http://[2001:db8::1]:80/identity");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place_and_without_its_secrets() {
        for (clouds, entry, words) in [
            (CLOUDS, "lab", "cloud `lab`, `auth.password`: it is missing"),
            (
                CLOUDS,
                "nowhere",
                "no cloud `nowhere`; it has `app`, `lab`, `number`, `odd`, `poor`, `tls`, `token`",
            ),
            (CLOUDS, "odd", "`interface`: `secret` is none of `public`, `internal` and `admin`"),
            (CLOUDS, "poor", "`auth.user_domain_name`: it is missing"),
            ("clouds:\n  a: {auth: {password: hunter2\n  b: ]", "a", "line"),
            ("a: b", "a", "it has no `clouds`"),
        ] {
            let text = error(clouds, entry);
            assert!(text.contains(words) && !text.contains("hunter2"), "{text}");
        }
        let text = Credentials::read(Path::new("/nowhere/clouds.yaml"), "a").unwrap_err().to_string();
        assert!(text.contains("/nowhere/clouds.yaml"), "{text}");
    }
}
