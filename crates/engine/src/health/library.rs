//! The checks, read and held to the rules of their shape: a page that makes no sense is refused with the place.
//!
//! It must never let two checks have one code, nor let codes explain each other in a circle.

use super::expr::{Expr, SyntaxError, read};
use super::template::Template;
use ostler_model::catalogue::CatalogueError;
use ostler_model::health::{Check, CheckPage, Severity, pages};
use std::collections::{BTreeMap, BTreeSet};

/// Checks of all pages: more than ten times what is embedded.
const CHECKS_MAX: usize = 2_000;

/// What is wrong with a page of checks.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// It is not what a page looks like.
    #[error(transparent)]
    Unreadable(#[from] CatalogueError),
    /// An expression cannot be read.
    #[error("health page {page}, {code}, `{key}`: {error}")]
    Expression {
        /// Which page.
        page: String,
        /// Which check.
        code: String,
        /// Which of its keys.
        key: String,
        /// What, and where.
        error: Box<SyntaxError>,
    },
    /// It contradicts itself or another page.
    #[error("health page {page}, {code}: {what}")]
    Wrong {
        /// Which page.
        page: String,
        /// Which check.
        code: String,
        /// What is wrong.
        what: String,
    },
}

/// A check that was read.
#[derive(Debug)]
pub(super) struct Ready {
    pub check: Check,
    pub group: String,
    pub rank: u16,
    pub only: Option<Expr>,
    pub levels: Vec<(Severity, Expr)>,
    pub host: Option<Expr>,
    pub object: Template,
    pub says: Template,
    pub next: Option<Template>,
}

/// All checks.
#[derive(Debug)]
pub struct Library {
    pub(super) checks: BTreeMap<String, Ready>,
}

/// A check for people: its group and itself.
#[derive(Debug)]
pub struct Explained<'a> {
    /// What people call the group.
    pub group: &'a str,
    /// The check.
    pub check: &'a Check,
    /// Codes that it explains.
    pub explains: Vec<&'a str>,
}

impl Library {
    /// The embedded checks.
    pub fn embedded() -> Result<Library, LibraryError> {
        Self::with_site(&[])
    }

    /// The embedded checks and a site's own pages, `(name, text)`. A site's check replaces the embedded one of the same code.
    pub fn with_site(site: &[(String, String)]) -> Result<Library, LibraryError> {
        let mut checks: BTreeMap<String, Ready> = BTreeMap::new();
        let embedded = pages();
        for (page, text) in embedded.iter().chain(site) {
            let whole = CheckPage::read(page, text)?;
            let mut own = BTreeSet::new();
            for check in whole.checks {
                let code = check.code.clone();
                let wrong = |what: &str| LibraryError::Wrong {
                    page: page.clone(),
                    code: code.clone(),
                    what: what.to_owned(),
                };
                if !own.insert(code.clone()) {
                    return Err(wrong("this page has two checks of this code"));
                }
                lint(&check).map_err(|what| wrong(&what))?;
                let ready = ready(page, &whole.title, whole.rank, check)?;
                checks.insert(code.clone(), ready);
                if checks.len() > CHECKS_MAX {
                    return Err(wrong(&format!("there are more than {CHECKS_MAX} checks")));
                }
            }
        }
        let library = Library { checks };
        library.roots_make_sense()?;
        Ok(library)
    }

    fn roots_make_sense(&self) -> Result<(), LibraryError> {
        for (code, ready) in &self.checks {
            let wrong =
                |what: String| LibraryError::Wrong { page: ready.group.clone(), code: code.clone(), what };
            let (mut seen, mut open) = (BTreeSet::new(), vec![code.as_str()]);
            while let Some(here) = open.pop() {
                for root in self.checks.get(here).into_iter().flat_map(|ready| &ready.check.after) {
                    if !self.checks.contains_key(&root.code) {
                        return Err(wrong(format!("`after` names {}, which is no code", root.code)));
                    }
                    if root.code == *code {
                        return Err(wrong("it explains itself by way of `after`".to_owned()));
                    }
                    if seen.insert(root.code.as_str()) {
                        open.push(&root.code);
                    }
                }
            }
        }
        Ok(())
    }

    /// Every code, in order.
    pub fn codes(&self) -> impl Iterator<Item = &str> {
        self.checks.keys().map(String::as_str)
    }

    /// One check for people.
    pub fn explain(&self, code: &str) -> Option<Explained<'_>> {
        let ready = self.checks.get(code)?;
        let explains = self
            .checks
            .iter()
            .filter(|(_, other)| other.check.after.iter().any(|root| root.code == code))
            .map(|(other, _)| other.as_str());
        Some(Explained { group: &ready.group, check: &ready.check, explains: explains.collect() })
    }

    /// All checks for people, group by group, the groups nearest to the root of trouble first.
    pub fn all(&self) -> Vec<Explained<'_>> {
        let mut all: Vec<(u16, Explained<'_>)> =
            self.checks.iter().filter_map(|(code, ready)| Some((ready.rank, self.explain(code)?))).collect();
        all.sort_by_key(|(rank, _)| *rank);
        all.into_iter().map(|(_, explained)| explained).collect()
    }
}

fn lint(check: &Check) -> Result<(), String> {
    let is_code = check.code.len() >= 3
        && check.code.starts_with(|c: char| c.is_ascii_uppercase())
        && check.code.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    if !is_code {
        return Err("a code has upper-case letters, digits and `_` only".to_owned());
    }
    if check.levels().is_empty() {
        return Err("it says for no severity when it is reached".to_owned());
    }
    if check.raise_after == 0 || check.clear_after == 0 {
        return Err("`raise-after` and `clear-after` are at least 1".to_owned());
    }
    let texts = [&check.title, &check.cause, &check.fix, &check.says, &check.object];
    if texts.iter().any(|text| text.trim().is_empty()) || check.verify.is_empty() {
        return Err("title, object, says, cause, verify and fix must say something".to_owned());
    }
    Ok(())
}

fn ready(page: &str, group: &str, rank: u16, check: Check) -> Result<Ready, LibraryError> {
    let refuse = |key: &str, error: SyntaxError| LibraryError::Expression {
        page: page.to_owned(),
        code: check.code.clone(),
        key: key.to_owned(),
        error: Box::new(error),
    };
    let only = check.only.as_deref().map(read).transpose().map_err(|error| refuse("only", error))?;
    let host = check.host.as_deref().map(read).transpose().map_err(|error| refuse("host", error))?;
    let mut levels = Vec::new();
    for (severity, when) in check.levels() {
        let key = match severity {
            Severity::Critical => "critical",
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        };
        levels.push((severity, read(when).map_err(|error| refuse(key, error))?));
    }
    let object = Template::read(&check.object).map_err(|error| refuse("object", error))?;
    let says = Template::read(&check.says).map_err(|error| refuse("says", error))?;
    let next =
        check.next.as_deref().map(Template::read).transpose().map_err(|error| refuse("next", error))?;
    Ok(Ready { group: group.to_owned(), rank, only, levels, host, object, says, next, check })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(rest: &str) -> String {
        format!(
            "title = 'Own'\nrank = 90\n[[check]]\ncode = 'OWN_CHECK'\ntitle = 't'\nover = 'node'\nobject = '{{host}}'\n\
             says = 's'\ncause = 'c'\nverify = ['v']\nfix = 'f'\n{rest}\n"
        )
    }

    fn refused(rest: &str) -> String {
        Library::with_site(&[("health/own.toml".into(), page(rest))]).unwrap_err().to_string()
    }

    #[test]
    fn a_site_s_page_with_a_mistake_is_refused_with_the_place() {
        assert_eq!(
            refused("error = 'load5 > > 3'"),
            "health page health/own.toml, OWN_CHECK, `error`: a value is missing here\n    load5 > > 3\n            ^"
        );
        assert!(refused("error = 'up'\nafter = ['NO_SUCH']").contains("NO_SUCH, which is no code"));
        assert!(refused("error = 'up'\nafter = ['OWN_CHECK']").contains("it explains itself"));
        assert!(refused("").contains("for no severity"));
        assert!(refused("eror = 'up'").contains("unknown field `eror`"));
    }

    #[test]
    fn a_site_s_check_replaces_the_embedded_one() {
        let text = page("error = 'up'").replace("OWN_CHECK", "HOST_DISK");
        let library = Library::with_site(&[("health/own.toml".into(), text)]).unwrap();
        assert_eq!(library.explain("HOST_DISK").unwrap().group, "Own");
    }
}
