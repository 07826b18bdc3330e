//! `[clouds.NAME.power]`: by what the machines are switched off, in which order, and which ones never.
//!
//! It reads no password, only where each is kept; and it never takes a machine for one that needs no fencing because a
//! line is missing: `none` must be written by name.

use super::{Page, closest};
use crate::duration::Seconds;
use crate::failure::Failure;
use ostler_model::cloud::{DeclaredNode, Role};
use ostler_model::ids::HostName;
use ostler_world::power::{FenceAgent, How, Ipmi, Login, Maas, Means, Redfish, SecretFile, Supply};
use ostler_world::web::Trust;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use toml::Spanned;

/// How long one means may take where nobody says: a controller that is well needs about ten seconds.
const LIMIT_DEFAULT: Seconds = Seconds(60);

/// The UDP port of IPMI.
const IPMI_PORT: u16 = 623;

/// Means that need no table of their own.
const BUILT_IN: [&str; 2] = ["manual", "none"];

/// `[clouds.NAME.power]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct PowerTable {
    /// What is tried, in order, for a machine that says nothing else.
    #[serde(rename = "use")]
    pub uses: Vec<Spanned<String>>,
    /// How long one means may take.
    pub limit: Option<Seconds>,
    /// Programs that must agree before a machine is switched off.
    pub before: Vec<Vec<String>>,
    /// The means by name.
    pub means: BTreeMap<Spanned<String>, MeansTable>,
    /// Machines that differ, by name.
    pub hosts: BTreeMap<Spanned<String>, HostTable>,
}

/// `[clouds.NAME.power.hosts.HOST]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct HostTable {
    /// What is tried, in order.
    #[serde(rename = "use")]
    pub uses: Option<Vec<Spanned<String>>>,
    /// What stands for `{bmc}`: the address of its controller.
    pub bmc: Option<String>,
    /// Why it is never switched off by a program.
    pub do_not_fence: Option<String>,
    /// Programs that must agree before it is switched off.
    pub before: Option<Vec<Vec<String>>>,
}

/// What a means is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Redfish.
    Redfish,
    /// IPMI, by ipmitool.
    Ipmi,
    /// MAAS.
    Maas,
    /// A program of the fence-agents.
    FenceAgent,
}

/// How one logs in at a Redfish controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoginWord {
    /// The password goes with each request.
    Basic,
    /// A session is opened.
    Session,
}

/// `[clouds.NAME.power.means.MEANS]`. All kinds share one table, so that a typo is shown with its place.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MeansTable {
    /// What it is.
    pub kind: Spanned<Kind>,
    /// Address: a URL, or for IPMI a host.
    pub address: Option<Spanned<String>>,
    /// UDP port of IPMI.
    pub port: Option<Spanned<u16>>,
    /// The account.
    pub user: Option<Spanned<String>>,
    /// The file with the password or API key.
    pub password_file: Option<Spanned<String>>,
    /// How one logs in.
    pub login: Option<Spanned<LoginWord>>,
    /// Which system, where there are several; its name in MAAS.
    pub system: Option<Spanned<String>>,
    /// SHA-256 of the one certificate that is believed.
    pub certificate: Option<Spanned<String>>,
    /// File of the authorities that are believed.
    pub ca: Option<Spanned<String>>,
    /// False: anyone is believed.
    pub verify: Option<Spanned<bool>>,
    /// Privilege of IPMI.
    pub privilege: Option<Spanned<String>>,
    /// Cipher suite of IPMI.
    pub cipher: Option<Spanned<u8>>,
    /// The fence agent.
    pub program: Option<Spanned<String>>,
    /// Its options.
    pub options: Option<Spanned<BTreeMap<String, toml::Value>>>,
    /// How long it may take.
    pub limit: Option<Seconds>,
}

/// What stands for `{host}` and `{bmc}`.
struct Place<'a> {
    host: &'a str,
    bmc: Option<&'a str>,
}

impl Page<'_> {
    pub(super) fn power(
        &self,
        cloud: &str,
        table: PowerTable,
        nodes: &BTreeMap<HostName, DeclaredNode>,
    ) -> Result<BTreeMap<HostName, Supply>, Failure> {
        for name in table.means.keys() {
            self.name("means", name)?;
            if BUILT_IN.contains(&name.get_ref().as_str()) {
                return Err(self
                    .wrong(name, &format!("`{}` is built in and needs no table", name.get_ref()))
                    .hint("give this means another name"));
            }
        }
        let computes = nodes.iter().filter(|(_, node)| node.roles.contains(&Role::Compute));
        let mut hosts: BTreeMap<String, HostTable> =
            computes.map(|(host, _)| (host.to_string(), HostTable::default())).collect();
        for (name, host) in table.hosts {
            self.name("node", &name)?;
            hosts.insert(name.into_inner(), host);
        }
        let mut supplies = BTreeMap::new();
        for (host, own) in hosts {
            let mut means = Vec::new();
            for used in own.uses.as_ref().unwrap_or(&table.uses) {
                let place = Place { host: &host, bmc: own.bmc.as_deref() };
                let limit = table.limit.unwrap_or(LIMIT_DEFAULT);
                means.push(self.means(cloud, used, &table.means, &place, limit)?);
            }
            let before = own.before.unwrap_or_else(|| table.before.clone());
            supplies.insert(HostName::new(host), Supply { means, do_not_fence: own.do_not_fence, before });
        }
        Ok(supplies)
    }

    fn means(
        &self,
        cloud: &str,
        used: &Spanned<String>,
        declared: &BTreeMap<Spanned<String>, MeansTable>,
        place: &Place<'_>,
        limit: Seconds,
    ) -> Result<Means, Failure> {
        let name = used.get_ref().as_str();
        let of = |limit: Seconds, how| Means {
            name: name.to_owned(),
            limit: Duration::from_secs(u64::from(limit.0)),
            how,
        };
        match name {
            "manual" => return Ok(of(limit, How::Manual)),
            "none" => return Ok(of(limit, How::None)),
            _ => {}
        }
        let Some((_, table)) = declared.iter().find(|(declared, _)| declared.get_ref() == name) else {
            let known = declared.keys().map(|name| name.get_ref().as_str()).chain(BUILT_IN);
            let failure = self.wrong(used, &format!("there is no means `{name}`"));
            return Err(match closest(name, known) {
                Some(meant) => failure.hint(format!("did you mean `{meant}`?")),
                None => failure.hint(format!("declare it: [clouds.{cloud}.power.means.{name}] with `kind`")),
            });
        };
        let limit = table.limit.unwrap_or(limit);
        self.only_what_fits(table)?;
        let how = match table.kind.get_ref() {
            Kind::Redfish => {
                let login = match table.login.as_ref().map(Spanned::get_ref) {
                    Some(LoginWord::Session) => Login::Session,
                    Some(LoginWord::Basic) | None => Login::Basic,
                };
                let system = table.system.as_ref().map(|system| self.filled(system, place)).transpose()?;
                How::Redfish(Redfish::new(
                    &self.url(table, place)?,
                    &self.text(table, table.user.as_ref(), "user", place)?,
                    self.secret(table, place)?,
                    login,
                    system,
                    self.trust(table)?,
                ))
            }
            Kind::Ipmi => How::Ipmi(Ipmi {
                address: self.text(table, table.address.as_ref(), "address", place)?,
                port: table.port.as_ref().map_or(IPMI_PORT, |port| *port.get_ref()),
                user: self.text(table, table.user.as_ref(), "user", place)?,
                password: self.secret(table, place)?,
                privilege: table.privilege.as_ref().map_or("OPERATOR", |word| word.get_ref()).to_owned(),
                cipher: table.cipher.as_ref().map(|cipher| *cipher.get_ref()),
            }),
            Kind::Maas => {
                let system = table.system.as_ref().map(|system| self.filled(system, place)).transpose()?;
                let machine = system.as_deref().unwrap_or(place.host);
                How::Maas(Maas::new(
                    &self.url(table, place)?,
                    self.secret(table, place)?,
                    machine,
                    self.trust(table)?,
                ))
            }
            Kind::FenceAgent => How::FenceAgent(self.agent(table, place)?),
        };
        Ok(of(limit, how))
    }

    fn agent(&self, table: &MeansTable, place: &Place<'_>) -> Result<FenceAgent, Failure> {
        let program = self.text(table, table.program.as_ref(), "program", place)?;
        let is_agent =
            Path::new(&program).file_name().is_some_and(|name| name.to_string_lossy().starts_with("fence_"));
        if !is_agent {
            let at = table.program.as_ref().map_or(table.kind.span(), Spanned::span);
            return Err(super::at(
                self.path,
                self.text,
                Some(at),
                &format!("`{program}` is not a fence agent"),
            )
            .hint("their names begin with `fence_`: `ls /usr/sbin/fence_*`"));
        }
        let mut options = BTreeMap::new();
        for (name, value) in table.options.as_ref().map(Spanned::get_ref).into_iter().flatten() {
            let at = table.options.as_ref().map_or(table.kind.span(), Spanned::span);
            let wrong = |what: String| super::at(self.path, self.text, Some(at.clone()), &what);
            let text = match value {
                toml::Value::String(text) => text.clone(),
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Boolean(truth) => u8::from(*truth).to_string(),
                _ => {
                    return Err(wrong(format!(
                        "option `{name}` is neither a text, a number nor true or false"
                    )));
                }
            };
            if matches!(name.as_str(), "action" | "password" | "passwd") || name.contains(['\n', '=']) {
                return Err(self
                    .wrong_secret(Some(at), &format!("option `{name}` cannot be given here"))
                    .hint("the action is ostler's to say; a password belongs into a file: `password-file`"));
            }
            let filled = self.filled(&Spanned::new(at.clone(), text), place)?;
            if filled.contains('\n') {
                return Err(wrong(format!("option `{name}` has more than one line")));
            }
            options.insert(name.clone(), filled);
        }
        let password = match table.password_file {
            Some(_) => Some(self.secret(table, place)?),
            None => None,
        };
        Ok(FenceAgent { program, options, password })
    }

    /// Keys that the kind does not have are refused: they were meant for something.
    fn only_what_fits(&self, table: &MeansTable) -> Result<(), Failure> {
        let given = [
            ("address", table.address.as_ref().map(Spanned::span)),
            ("port", table.port.as_ref().map(Spanned::span)),
            ("user", table.user.as_ref().map(Spanned::span)),
            ("password-file", table.password_file.as_ref().map(Spanned::span)),
            ("login", table.login.as_ref().map(Spanned::span)),
            ("system", table.system.as_ref().map(Spanned::span)),
            ("certificate", table.certificate.as_ref().map(Spanned::span)),
            ("ca", table.ca.as_ref().map(Spanned::span)),
            ("verify", table.verify.as_ref().map(Spanned::span)),
            ("privilege", table.privilege.as_ref().map(Spanned::span)),
            ("cipher", table.cipher.as_ref().map(Spanned::span)),
            ("program", table.program.as_ref().map(Spanned::span)),
            ("options", table.options.as_ref().map(Spanned::span)),
        ];
        let (kind, fits): (&str, &[&str]) = match table.kind.get_ref() {
            Kind::Redfish => (
                "redfish",
                &["address", "user", "password-file", "login", "system", "certificate", "ca", "verify"],
            ),
            Kind::Ipmi => ("ipmi", &["address", "port", "user", "password-file", "privilege", "cipher"]),
            Kind::Maas => ("maas", &["address", "password-file", "system", "certificate", "ca", "verify"]),
            Kind::FenceAgent => ("fence-agent", &["program", "options", "password-file"]),
        };
        match given.into_iter().find(|(key, at)| at.is_some() && !fits.contains(key)) {
            None => Ok(()),
            Some((key, at)) => {
                let failure = super::at(self.path, self.text, at, &format!("`{kind}` has no `{key}`"));
                Err(failure.hint(format!("it has: {}, limit", fits.join(", "))))
            }
        }
    }

    fn text(
        &self,
        table: &MeansTable,
        value: Option<&Spanned<String>>,
        key: &str,
        place: &Place<'_>,
    ) -> Result<String, Failure> {
        match value {
            Some(value) if !value.get_ref().is_empty() => self.filled(value, place),
            _ => Err(super::at(
                self.path,
                self.text,
                Some(table.kind.span()),
                &format!("this means needs `{key}`"),
            )),
        }
    }

    fn url(&self, table: &MeansTable, place: &Place<'_>) -> Result<String, Failure> {
        let url = self.text(table, table.address.as_ref(), "address", place)?;
        let at = table.address.as_ref().map(Spanned::span);
        let wrong = |what: &str| super::at(self.path, self.text, at.clone(), what);
        if url.contains('@') {
            return Err(self
                .wrong_secret(at.clone(), "the address holds a user")
                .hint("that belongs into `user`, and the password into a file: `password-file`"));
        }
        if !url.starts_with("https://") && !url.starts_with("http://") {
            return Err(wrong("the address begins with neither `https://` nor `http://`"));
        }
        Ok(url)
    }

    fn secret(&self, table: &MeansTable, place: &Place<'_>) -> Result<SecretFile, Failure> {
        let path = self.text(table, table.password_file.as_ref(), "password-file", place)?;
        Ok(SecretFile(self.path_of(Path::new(&path))))
    }

    fn trust(&self, table: &MeansTable) -> Result<Trust, Failure> {
        match (&table.certificate, &table.ca, &table.verify) {
            (Some(pinned), None, None) => {
                pinned.get_ref().parse().map(Trust::Pinned).map_err(|what: String| self.wrong(pinned, &what))
            }
            (None, Some(file), None) => Ok(Trust::File(self.path_of(Path::new(file.get_ref())))),
            (None, None, Some(verify)) if !verify.get_ref() => Ok(Trust::Anyone),
            (None, None, _) => Ok(Trust::System),
            _ => Err(super::at(
                self.path,
                self.text,
                Some(table.kind.span()),
                "this means has more than one of `certificate`, `ca` and `verify`",
            )),
        }
    }

    /// A mistake whose line may hold a password: only its place is shown.
    fn wrong_secret(&self, span: Option<std::ops::Range<usize>>, what: &str) -> Failure {
        let before = span.and_then(|span| self.text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        Failure::usage(format!("{}:{line}: {what}", self.path.display()))
    }

    /// A text with `{host}` and `{bmc}` filled in.
    fn filled(&self, text: &Spanned<String>, place: &Place<'_>) -> Result<String, Failure> {
        let filled = text.get_ref().replace("{host}", place.host);
        match (filled.contains("{bmc}"), place.bmc) {
            (false, _) => Ok(filled),
            (true, Some(bmc)) => Ok(filled.replace("{bmc}", bmc)),
            (true, None) => Err(self
                .wrong(text, &format!("`{{bmc}}` stands here, but {} has no `bmc`", place.host))
                .hint(format!("say it below `[clouds.….power.hosts.{}]`", place.host))),
        }
    }
}
