//! `[serve.events]` of `ostler.toml`: who is told what happens to instance HA.
//!
//! It reads and checks; it opens nothing.

use super::Page;
use crate::duration::Seconds;
use crate::failure::Failure;
use ostler_world::power::SecretFile;
use serde::Deserialize;
use std::path::PathBuf;
use toml::Spanned;

/// How long a host may be unprotected until that is an alert: an hour, longer than most maintenance.
const UNPROTECTED_AFTER_S: u32 = 3_600;

/// Alertmanagers of one site: they form a cluster, and one of them is enough to be told.
const ALERTMANAGERS_MAX: usize = 8;

/// `[serve.events]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct EventsTable {
    webhook: Option<Spanned<String>>,
    webhook_secret_file: Option<PathBuf>,
    alertmanager: Vec<Spanned<String>>,
    ca: Option<PathBuf>,
    unprotected_after: Option<Seconds>,
}

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Events {
    /// A webhook's address.
    pub webhook: Option<String>,
    /// The file with the secret that signs what it is sent.
    pub webhook_secret: Option<SecretFile>,
    /// Addresses of Alertmanagers.
    pub alertmanagers: Vec<String>,
    /// File of the authorities that are believed.
    pub ca: Option<PathBuf>,
    /// How long a host or segment may be unprotected until that is an alert.
    pub unprotected_after_s: u32,
}

impl Page<'_> {
    /// What a table says, with the defaults.
    pub(super) fn events(&self, table: EventsTable) -> Result<Events, Failure> {
        let url = |url: &Spanned<String>| match url.get_ref() {
            text if text.starts_with("https://") || text.starts_with("http://") => Ok(text.clone()),
            // Its line may hold a secret: only its place is shown.
            _ => {
                let before = self.text.get(..url.span().start).unwrap_or_default();
                let line = before.matches('\n').count() + 1;
                let place = format!("{}:{line}", self.path.display());
                Err(Failure::usage(format!(
                    "{place}: the address begins with neither `https://` nor `http://`"
                ))
                .hint("write it whole: `https://HOST[:PORT]/PATH`"))
            }
        };
        if let Some(more) = table.alertmanager.get(ALERTMANAGERS_MAX) {
            return Err(self.wrong(more, &format!("there are more than {ALERTMANAGERS_MAX} Alertmanagers")));
        }
        Ok(Events {
            webhook: table.webhook.as_ref().map(url).transpose()?,
            webhook_secret: table.webhook_secret_file.map(|path| SecretFile(self.path_of(&path))),
            alertmanagers: table.alertmanager.iter().map(url).collect::<Result<_, _>>()?,
            ca: table.ca.map(|path| self.path_of(&path)),
            unprotected_after_s: table.unprotected_after.map_or(UNPROTECTED_AFTER_S, |time| time.0),
        })
    }
}
