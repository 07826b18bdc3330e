//! Who may do what: oslo.policy's rules in a YAML file, over the defaults here.
//!
//! The language is that of oslo.policy as operators use it: `role:`, `rule:`, `is_admin:`, `NAME:%(NAME)s`, `system_scope:all`, `and`,
//! `or`, `not`, parentheses, `@`, `!`. What is not understood is refused when the file is read, with its place; it must
//! never be taken for a yes.

use super::authenticate::Caller;
use crate::failure::Failure;
use std::collections::BTreeMap;
use std::path::Path;

/// How deep rules may name rules: more is a circle.
const DEPTH_MAX: usize = 16;

/// Rules that others refer to. The reader's role has to be for the whole cloud: a project's reader is any of its members.
const GROUPS: &[(&str, &str)] = &[
    ("context_is_admin", "role:admin"),
    ("admin_api", "is_admin:True"),
    ("admin_or_owner", "is_admin:True or project_id:%(project_id)s"),
    ("ha_reader", "rule:admin_api or role:ha-reader or (role:reader and system_scope:all)"),
    ("ha_monitor", "rule:admin_api or role:ha-monitor"),
];

/// Rules of the resources.
pub const RULES: &[(&str, &str)] = &[
    ("os_masakari_api:segments:index", "rule:ha_reader"),
    ("os_masakari_api:segments:detail", "rule:ha_reader"),
    ("os_masakari_api:segments:create", "rule:admin_api"),
    ("os_masakari_api:segments:update", "rule:admin_api"),
    ("os_masakari_api:segments:delete", "rule:admin_api"),
    ("os_masakari_api:segments:discoverable", "rule:admin_api"),
    ("os_masakari_api:os-hosts:index", "rule:ha_reader"),
    ("os_masakari_api:os-hosts:detail", "rule:ha_reader"),
    ("os_masakari_api:os-hosts:create", "rule:admin_api"),
    ("os_masakari_api:os-hosts:update", "rule:admin_api"),
    ("os_masakari_api:os-hosts:delete", "rule:admin_api"),
    ("os_masakari_api:os-hosts:discoverable", "rule:admin_api"),
    ("os_masakari_api:notifications:index", "rule:ha_reader"),
    ("os_masakari_api:notifications:detail", "rule:ha_reader"),
    ("os_masakari_api:notifications:create", "rule:ha_monitor"),
    ("os_masakari_api:notifications:discoverable", "rule:admin_api"),
    ("os_masakari_api:vmoves:index", "rule:ha_reader"),
    ("os_masakari_api:vmoves:detail", "rule:ha_reader"),
    ("os_masakari_api:vmoves:discoverable", "rule:admin_api"),
    ("os_masakari_api:extensions:index", "rule:ha_reader"),
    ("os_masakari_api:extensions:detail", "rule:ha_reader"),
    ("os_masakari_api:extensions:discoverable", "rule:admin_api"),
    ("os_masakari_api:versions:index", "@"),
    ("os_masakari_api:versions:discoverable", "@"),
];

/// The rules, read.
#[derive(Clone, Debug)]
pub struct Policy {
    rules: BTreeMap<String, Check>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Check {
    Yes,
    No,
    Role(String),
    Rule(String),
    IsAdmin(bool),
    System,
    /// Something of the caller is something of the target: `project_id:%(project_id)s`.
    Same(Attribute),
    /// Something of the caller is this.
    Is(Attribute, String),
    Not(Box<Check>),
    And(Vec<Check>),
    Or(Vec<Check>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attribute {
    Project,
    User,
}

impl Default for Policy {
    fn default() -> Self {
        let read = |(name, rule): &(&str, &str)| Some(((*name).to_owned(), parse(rule).ok()?));
        Self { rules: GROUPS.iter().chain(RULES).filter_map(read).collect() }
    }
}

impl Policy {
    /// The defaults with what a file says otherwise.
    pub fn read(path: &Path) -> Result<Policy, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::usage(format!("cannot read the policy at {}: {error}", path.display()))
                .hint("see `policy` below `[serve]` in ostler.toml; without it the defaults hold")
        })?;
        Policy::parse(path, &text)
    }

    /// The same from the file's text.
    pub fn parse(path: &Path, text: &str) -> Result<Policy, Failure> {
        let mut policy = Policy::default();
        let read = serde_saphyr::from_str::<Option<BTreeMap<String, String>>>(text);
        let own = read.map_err(|error| {
            let place =
                error.location().map(|at| format!(":{}:{}", at.line(), at.column())).unwrap_or_default();
            let why = error.to_string();
            let why = why.lines().next().unwrap_or_default();
            Failure::usage(format!("{}{place}: the policy is not understood: {why}", path.display()))
                .hint("each line is `\"RULE\": \"CHECK\"`; docs/instance-ha-api.md has an example")
        })?;
        for (name, rule) in own.unwrap_or_default() {
            let line = text
                .lines()
                .position(|line| line.trim_start().trim_start_matches(['"', '\'']).starts_with(&name));
            let place = format!("{}:{}", path.display(), line.unwrap_or(0) + 1);
            let wrong = |what: String| Failure::usage(format!("{place}: {what}"));
            // A name with the service's prefix that is none of its rules is a typo; others are groups of the site's own.
            if name.contains(':') && !RULES.iter().any(|(known, _)| *known == name) {
                let meant = crate::settings::closest(&name, RULES.iter().map(|(known, _)| *known));
                return Err(wrong(format!("there is no rule `{name}`"))
                    .maybe_hint(meant.map(|meant| format!("did you mean `{meant}`?"))));
            }
            let check = parse(&rule).map_err(|why| {
                wrong(format!("rule `{name}` is not understood: {why}")).hint(
                    "a check is `role:NAME`, `rule:NAME`, `is_admin:True`, `project_id:%(project_id)s`, `system_scope:all`, `@` (anybody), `!` (nobody), with `and`, `or`, `not`",
                )
            })?;
            policy.rules.insert(name, check);
        }
        let missing = policy.rules.iter().find_map(|(name, check)| {
            let wanted = check.names().into_iter().find(|wanted| !policy.rules.contains_key(*wanted))?;
            Some((name.clone(), wanted.to_owned()))
        });
        if let Some((name, wanted)) = missing {
            let line = text.lines().position(|line| line.contains(&wanted)).unwrap_or(0) + 1;
            let meant = crate::settings::closest(&wanted, policy.rules.keys().map(String::as_str));
            return Err(Failure::usage(format!(
                "{}:{line}: rule `{name}` refers to `{wanted}`, which there is not",
                path.display()
            ))
            .maybe_hint(meant.map(|meant| format!("did you mean `{meant}`?"))));
        }
        Ok(policy)
    }

    /// Whether a caller may do what a rule is for.
    pub fn allows(&self, rule: &str, caller: &Caller, project: Option<&str>) -> bool {
        let is_admin = caller.is_everybody || self.holds_rule("context_is_admin", caller, project, false, 0);
        self.holds_rule(rule, caller, project, is_admin, 0)
    }

    fn holds_rule(
        &self,
        rule: &str,
        caller: &Caller,
        project: Option<&str>,
        is_admin: bool,
        depth: usize,
    ) -> bool {
        let found = self.rules.get(rule).filter(|_| depth < DEPTH_MAX);
        found.is_some_and(|check| self.holds(check, caller, project, is_admin, depth + 1))
    }

    fn holds(
        &self,
        check: &Check,
        caller: &Caller,
        project: Option<&str>,
        is_admin: bool,
        depth: usize,
    ) -> bool {
        let holds = |check: &Check| self.holds(check, caller, project, is_admin, depth);
        let of = |attribute: &Attribute| match attribute {
            Attribute::Project => caller.project.as_deref(),
            Attribute::User => Some(caller.user.as_str()),
        };
        match check {
            Check::Yes => true,
            Check::No => false,
            Check::Role(role) => caller.roles.iter().any(|held| held.eq_ignore_ascii_case(role)),
            Check::Rule(rule) => self.holds_rule(rule, caller, project, is_admin, depth),
            Check::IsAdmin(wanted) => is_admin == *wanted,
            Check::System => caller.is_for_system,
            // The target of every call here is the caller's own project, or the one in the URL.
            Check::Same(Attribute::Project) => {
                caller.project.is_some()
                    && project.is_none_or(|asked| caller.project.as_deref() == Some(asked))
            }
            Check::Same(Attribute::User) => true,
            Check::Is(attribute, wanted) => of(attribute) == Some(wanted.as_str()),
            Check::Not(check) => !holds(check),
            Check::And(checks) => checks.iter().all(holds),
            Check::Or(checks) => checks.iter().any(holds),
        }
    }
}

impl Check {
    /// The rules that it refers to.
    fn names(&self) -> Vec<&str> {
        match self {
            Check::Rule(name) => vec![name.as_str()],
            Check::Not(check) => check.names(),
            Check::And(checks) | Check::Or(checks) => checks.iter().flat_map(Check::names).collect(),
            _ => Vec::new(),
        }
    }
}

/// Reads a rule. An empty one lets everybody in, as oslo.policy has it.
fn parse(rule: &str) -> Result<Check, String> {
    let spaced = rule.replace('(', " ( ").replace(')', " ) ");
    // `%(project_id)s` has parentheses of its own.
    let spaced =
        spaced.replace("% ( project_id ) s", "%(project_id)s").replace("% ( user_id ) s", "%(user_id)s");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    if words.is_empty() {
        return Ok(Check::Yes);
    }
    let mut reader = Reader { words: &words, depth: 0 };
    let check = reader.any()?;
    match reader.words.first() {
        None => Ok(check),
        Some(word) => Err(format!("`{word}` is not expected there")),
    }
}

struct Reader<'a> {
    words: &'a [&'a str],
    depth: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(*first)
    }

    fn is_next(&mut self, word: &str) -> bool {
        let is = self.words.first().is_some_and(|next| next.eq_ignore_ascii_case(word));
        if is {
            self.next();
        }
        is
    }

    fn any(&mut self) -> Result<Check, String> {
        let mut checks = vec![self.all()?];
        while self.is_next("or") {
            checks.push(self.all()?);
        }
        Ok(only(checks, Check::Or))
    }

    fn all(&mut self) -> Result<Check, String> {
        let mut checks = vec![self.one()?];
        while self.is_next("and") {
            checks.push(self.one()?);
        }
        Ok(only(checks, Check::And))
    }

    fn one(&mut self) -> Result<Check, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("it is nested too deep".to_owned());
        }
        let check = if self.is_next("not") {
            Check::Not(Box::new(self.one()?))
        } else if self.is_next("(") {
            let check = self.any()?;
            if !self.is_next(")") {
                return Err("a `)` is missing".to_owned());
            }
            check
        } else {
            let word = self.next().ok_or("a check is missing at its end")?;
            term(word)?
        };
        self.depth -= 1;
        Ok(check)
    }
}

fn only(mut checks: Vec<Check>, more: fn(Vec<Check>) -> Check) -> Check {
    match checks.len() {
        1 => checks.remove(0),
        _ => more(checks),
    }
}

fn term(word: &str) -> Result<Check, String> {
    match word {
        "@" => return Ok(Check::Yes),
        "!" => return Ok(Check::No),
        _ => {}
    }
    let (kind, value) = word.split_once(':').ok_or_else(|| format!("`{word}` is no check"))?;
    if value.is_empty() {
        return Err(format!("`{word}` says nothing after its colon"));
    }
    match (kind, value) {
        ("role", role) => Ok(Check::Role(role.to_owned())),
        ("rule", rule) => Ok(Check::Rule(rule.to_owned())),
        ("is_admin", "True" | "true" | "1") => Ok(Check::IsAdmin(true)),
        ("is_admin", "False" | "false" | "0") => Ok(Check::IsAdmin(false)),
        ("system_scope" | "system", "all") => Ok(Check::System),
        ("project_id" | "tenant", "%(project_id)s") => Ok(Check::Same(Attribute::Project)),
        ("user_id", "%(user_id)s") => Ok(Check::Same(Attribute::User)),
        ("project_id", text) if !text.contains('%') => Ok(Check::Is(Attribute::Project, text.to_owned())),
        ("user_id", text) if !text.contains('%') => Ok(Check::Is(Attribute::User, text.to_owned())),
        _ => Err(format!("`{word}` is no check")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(roles: &[&str]) -> Caller {
        Caller {
            user: "u1".into(),
            project: Some("p1".into()),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            is_for_system: false,
            is_everybody: false,
            host: None,
        }
    }

    fn policy(text: &str) -> Result<Policy, Failure> {
        Policy::parse(Path::new("policy.yaml"), text)
    }

    #[test]
    fn the_defaults_are_for_admins_readers_of_the_cloud_and_monitors() {
        let policy = Policy::default();
        assert_eq!(policy.rules.len(), GROUPS.len() + RULES.len(), "a default cannot be read");
        let system = Caller { is_for_system: true, project: None, ..caller(&["reader"]) };
        for (rule, _) in RULES {
            let (is_read, is_report) = (
                (rule.ends_with(":index") || rule.ends_with(":detail")) || rule.contains(":versions:"),
                *rule == "os_masakari_api:notifications:create" || rule.contains(":versions:"),
            );
            assert!(policy.allows(rule, &caller(&["Admin"]), None), "{rule}");
            assert_eq!(policy.allows(rule, &system, None), is_read, "{rule}");
            assert_eq!(policy.allows(rule, &caller(&["ha-reader"]), None), is_read, "{rule}");
            assert_eq!(policy.allows(rule, &caller(&["ha-monitor"]), None), is_report, "{rule}");
            let is_for_all = rule.contains(":versions:");
            assert_eq!(policy.allows(rule, &caller(&["member", "reader"]), None), is_for_all, "{rule}");
        }
    }

    #[test]
    fn a_file_changes_what_it_names() {
        let text = "# site\n\"os_masakari_api:segments:index\": \"role:ops or (rule:mine and not role:guest)\"\nmine: \"project_id:%(project_id)s\"\n\"os_masakari_api:segments:create\": \"!\"\n";
        let policy = policy(text).unwrap();
        let index = "os_masakari_api:segments:index";
        assert!(policy.allows(index, &caller(&["ops"]), None));
        assert!(policy.allows(index, &caller(&["member"]), Some("p1")));
        assert!(!policy.allows(index, &caller(&["member"]), Some("p2")));
        assert!(!policy.allows(index, &caller(&["guest"]), None));
        assert!(!policy.allows("os_masakari_api:segments:create", &caller(&["admin"]), None));
        assert!(policy.allows("os_masakari_api:segments:update", &caller(&["admin"]), None));
    }

    #[test]
    fn a_rule_that_names_itself_lets_nobody_in() {
        let policy =
            policy("a: \"rule:b\"\nb: \"rule:a\"\n\"os_masakari_api:segments:index\": \"rule:a\"\n").unwrap();
        assert!(!policy.allows("os_masakari_api:segments:index", &caller(&["admin"]), None));
    }

    #[test]
    fn typos_are_refused_with_their_place() {
        for (text, says, hint) in [
            (
                "x: \"@\"\n\"os_masakari_api:segments:idex\": \"@\"\n",
                "policy.yaml:2: there is no rule",
                "segments:index",
            ),
            ("\"os_masakari_api:segments:index\": \"rol:admin\"\n", "policy.yaml:1: rule", "role:NAME"),
            ("\"os_masakari_api:segments:index\": \"role:admin and\"\n", "a check is missing", "role:NAME"),
            ("\"os_masakari_api:segments:index\": \"(role:admin\"\n", "a `)` is missing", "role:NAME"),
            ("\"os_masakari_api:segments:index\": \"rule:admin_ap\"\n", "refers to `admin_ap`", "admin_api"),
            ("\"os_masakari_api:segments:index\": [1\n", "policy.yaml:", "docs/instance-ha-api.md"),
            ("- a\n", "policy.yaml:", "docs/instance-ha-api.md"),
        ] {
            let failure = policy(text).unwrap_err();
            assert!(failure.error.contains(says), "{text}: {}", failure.error);
            assert!(failure.hints.iter().any(|line| line.contains(hint)), "{text}: {:?}", failure.hints);
            assert_eq!(failure.kind.code(), 2);
        }
    }
}
