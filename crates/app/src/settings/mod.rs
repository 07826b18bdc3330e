//! `ostler.toml`: which clouds there are, how they are reached, where the state is kept.
//!
//! It finds, reads and checks the file; it opens no connection and holds no secret, only where secrets are kept.

mod events;
mod file;
mod mistake;
pub mod monitor;
mod monitor_file;
mod power;
mod serve;

pub use events::Events;
pub use file::Canary;
pub use mistake::{at, closest, from_reader};
pub use serve::{HealthLooks, Recovery, Serve};

use crate::failure::Failure;
use file::{CloudTable, File};
use ostler_model::canary::Suite;
use ostler_model::cloud::{Cloud, DeclaredNode};
use ostler_model::ids::HostName;
use ostler_model::plan::Strategy;
use ostler_world::power::Supply;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// What stands for the release in a package source.
const RELEASE_PLACE: &str = "{release}";

/// Longest name of a cloud or node: it becomes part of the names of units and files.
const NAME_CHARACTERS_MAX: usize = 63;

/// What `ostler.toml` says.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it was found.
    pub path: PathBuf,
    /// The clouds, in order of name.
    pub clouds: Vec<CloudSettings>,
    /// The cloud that is meant when none is named.
    pub default_cloud: Option<String>,
    /// Where plans and journals are kept.
    pub store: Option<String>,
    /// The directory of a site's own catalogue pages.
    pub catalogue: Option<PathBuf>,
    /// How the server serves; none: nothing is said of it.
    pub serve: Option<Serve>,
}

/// One cloud and how it is reached.
#[derive(Clone, Debug)]
pub struct CloudSettings {
    /// The cloud as declared.
    pub cloud: Cloud,
    /// The clouds.yaml that holds the credentials.
    pub clouds_yaml: PathBuf,
    /// The entry in it.
    pub clouds_entry: String,
    /// The account on the nodes.
    pub ssh_user: String,
    /// The private key.
    pub ssh_key: PathBuf,
    /// The nodes' host keys.
    pub known_hosts: PathBuf,
    /// How long the new release must have served without trouble before anything final, in seconds.
    pub soak_s: u32,
    /// The strategy, unless the planner shall choose.
    pub strategy: Option<Strategy>,
    /// Whether everything is asked again and again, and logs are read, after each change of an upgrade.
    pub function_check: bool,
    /// What a user does and is tried before the first change of an upgrade and before what cannot be taken back.
    pub canary: Option<Suite>,
    /// How the machines' power is switched.
    pub power: BTreeMap<HostName, Supply>,
}

impl Settings {
    /// Finds and reads the file. `named` is what the command line or the environment says.
    pub fn find(named: Option<&Path>) -> Result<Settings, Failure> {
        match Settings::find_any(named)? {
            Some(settings) => Ok(settings),
            None => Err(Failure::usage("there is no ostler.toml")
                .evidence("looked for:")
                .evidences(places().iter().map(|place| format!("  {}", place.display())))
                .hint("name it with `--config FILE` or OSTLER_CONFIG; docs/ostler-toml.md says what stands in it")
                .hint("to try ostler on a cloud of its own: `ostler lab up`; to only see it work: `ostler demo`")),
        }
    }

    /// The same, where a missing file is no mistake.
    pub fn find_any(named: Option<&Path>) -> Result<Option<Settings>, Failure> {
        if let Some(path) = named {
            return Settings::read(path).map(Some);
        }
        match places().into_iter().find(|place| place.is_file()) {
            Some(place) => Settings::read(&place).map(Some),
            None => Ok(None),
        }
    }

    fn read(path: &Path) -> Result<Settings, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::usage(format!("cannot read {}: {error}", path.display()))
                .hint("name another file with `--config FILE`, or set its rights")
        })?;
        Settings::parse(path, &text)
    }

    /// Reads the text of a file; paths in it are relative to the file.
    pub fn parse(path: &Path, text: &str) -> Result<Settings, Failure> {
        let file: File = toml::from_str(text).map_err(|error| {
            from_reader(path, text, &error).hint("every key is explained in docs/ostler-toml.md")
        })?;
        let page = Page { path, text };
        let mut clouds = Vec::with_capacity(file.clouds.len());
        for (name, table) in file.clouds {
            page.name("cloud", &name)?;
            clouds.push(page.cloud(name, table)?);
        }
        if let Some(default) = &file.default_cloud
            && !clouds.iter().any(|known| known.cloud.name == *default.get_ref())
        {
            let names = clouds.iter().map(|known| known.cloud.name.as_str());
            let failure = page.wrong(default, &format!("there is no cloud `{}`", default.get_ref()));
            return Err(match closest(default.get_ref(), names.clone()) {
                Some(meant) => failure.hint(format!("did you mean `{meant}`?")),
                None => failure.hint(format!("there are: {}", names.collect::<Vec<_>>().join(", "))),
            });
        }
        Ok(Settings {
            path: path.to_owned(),
            clouds,
            default_cloud: file.default_cloud.map(Spanned::into_inner),
            store: file.state.map(|state| match is_address(&state.store) {
                true => state.store,
                false => page.path_of(Path::new(&state.store)).display().to_string(),
            }),
            catalogue: file.catalogue.map(|table| page.path_of(&table.directory)),
            serve: file.serve.map(|table| page.serve(table)).transpose()?,
        })
    }

    /// The cloud of that name, or the one that is meant when none is named.
    pub fn cloud(&self, named: Option<&str>) -> Result<&CloudSettings, Failure> {
        let names: Vec<&str> = self.clouds.iter().map(|known| known.cloud.name.as_str()).collect();
        let there_are = match names.is_empty() {
            true => format!("{} names no cloud", self.path.display()),
            false => format!("{} has: {}", self.path.display(), names.join(", ")),
        };
        let wanted = match (named.or(self.default_cloud.as_deref()), names.as_slice()) {
            (Some(name), _) => name,
            (None, [only]) => only,
            (None, []) => {
                return Err(
                    Failure::usage(there_are).hint("docs/ostler-toml.md says how a cloud is declared")
                );
            }
            (None, _) => {
                return Err(Failure::usage("it is not clear which cloud is meant")
                    .evidence(there_are)
                    .hint("name it with `--cloud NAME`, or set `default-cloud`"));
            }
        };
        self.clouds.iter().find(|known| known.cloud.name == wanted).ok_or_else(|| {
            let failure = Failure::usage(format!("there is no cloud `{wanted}`")).evidence(there_are);
            let meant = closest(wanted, names.iter().copied());
            failure.maybe_hint(meant.map(|name| format!("did you mean `--cloud {name}`?")))
        })
    }
}

/// Whether a store is named by an address and not by a file.
pub fn is_address(store: &str) -> bool {
    store.contains("://")
}

/// Where the state is kept when nobody says.
pub fn default_store() -> Result<String, Failure> {
    let home = xdg("XDG_STATE_HOME", ".local/state").ok_or_else(|| {
        Failure::usage("there is no place for the state: neither XDG_STATE_HOME nor HOME is set")
            .hint("name one with `--state FILE`")
    })?;
    Ok(home.join("ostler").join("state.db").display().to_string())
}

fn places() -> Vec<PathBuf> {
    let user = xdg("XDG_CONFIG_HOME", ".config").map(|home| home.join("ostler").join("ostler.toml"));
    [Some(PathBuf::from("ostler.toml")), user, Some(PathBuf::from("/etc/ostler/ostler.toml"))]
        .into_iter()
        .flatten()
        .collect()
}

/// A directory of the user: from the environment, or below the home directory.
pub fn xdg(variable: &str, below_home: &str) -> Option<PathBuf> {
    let given = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    given(variable).or_else(|| given("HOME").map(|home| home.join(below_home)))
}

/// A file that is being read, for messages.
struct Page<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Page<'_> {
    fn wrong<T>(&self, place: &Spanned<T>, what: &str) -> Failure {
        let span = Some(place.span()).filter(|span| !span.is_empty());
        mistake::at(self.path, self.text, span, what)
    }

    fn path_of(&self, path: &Path) -> PathBuf {
        let home = path.strip_prefix("~").ok().and_then(|rest| Some(xdg("HOME", "")?.join(rest)));
        home.unwrap_or_else(|| self.path.parent().unwrap_or(Path::new("")).join(path))
    }

    fn name(&self, kind: &str, name: &Spanned<String>) -> Result<(), Failure> {
        let text = name.get_ref();
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.' || c == '_';
        let is_name = text.chars().all(good)
            && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && text.len() <= NAME_CHARACTERS_MAX;
        if is_name {
            return Ok(());
        }
        Err(self.wrong(name, &format!("`{text}` cannot be the name of a {kind}")).hint(format!(
            "a name has at most {NAME_CHARACTERS_MAX} characters of a-z, 0-9, `-`, `.` and `_`, and begins with a letter or digit"
        )))
    }

    fn cloud(&self, name: Spanned<String>, table: CloudTable) -> Result<CloudSettings, Failure> {
        if table.nodes.is_empty() {
            return Err(self.wrong(&name, &format!("cloud `{}` has no nodes", name.get_ref())).hint(
                format!("declare each: [clouds.{}.nodes.NAME] with `address` and `roles`", name.get_ref()),
            ));
        }
        let source = &table.packages.source;
        if !source.get_ref().contains(RELEASE_PLACE) {
            return Err(self
                .wrong(source, &format!("the package source says nowhere `{RELEASE_PLACE}`"))
                .hint("it stands for the release, so that the same line leads to the next one"));
        }
        let directory = &table.backup.directory;
        if !directory.get_ref().starts_with('/') {
            return Err(
                self.wrong(directory, "the backup directory is a path on the nodes and begins with `/`")
            );
        }
        let mut nodes = BTreeMap::new();
        for (host, node) in table.nodes {
            self.name("node", &host)?;
            if node.roles.is_empty() {
                return Err(self
                    .wrong(&host, &format!("node `{}` has no role", host.get_ref()))
                    .hint("possible are: controller, compute, network, storage"));
            }
            let declared = DeclaredNode { address: node.address, port: node.port, roles: node.roles };
            nodes.insert(HostName::new(host.into_inner()), declared);
        }
        let power = self.power(name.get_ref(), table.power, &nodes)?;
        let name = name.into_inner();
        Ok(CloudSettings {
            power,
            clouds_yaml: self.path_of(&table.clouds_yaml),
            clouds_entry: table.clouds_entry.unwrap_or_else(|| name.clone()),
            ssh_user: table.ssh.user,
            ssh_key: self.path_of(&table.ssh.key),
            known_hosts: self.path_of(&table.ssh.known_hosts),
            soak_s: table.upgrade.soak.0,
            strategy: table.upgrade.strategy,
            function_check: table.upgrade.function_check,
            canary: table.upgrade.canary.suite(),
            cloud: Cloud {
                name,
                flavour: table.flavour,
                virtual_address: table.virtual_address,
                package_source: table.packages.source.into_inner(),
                backup_directory: table.backup.directory.into_inner(),
                nodes,
            },
        })
    }
}

#[cfg(test)]
mod tests;
