//! Where the state is: reading `--state` and saying it back.
//!
//! It must never print a user's password, nor guess what a malformed place may have meant.

use super::fault::unavailable;
use ostler_engine::seam::StoreError;
use secrecy::SecretString;
use std::fmt;
use std::path::PathBuf;

/// The port of MySQL and MariaDB when none is given.
const PORT: u16 = 3306;

/// Hosts in one place. Galera clusters have three or five nodes; seventeen addresses are a mistake.
const HOSTS_MAX: usize = 16;

const FORMS: &str = "The state is a file (/var/lib/ostler/state.db, sqlite:///path) or a database \
                     (mysql://user:password@host[:port][,host…]/database).";

/// Where the state is.
#[derive(Debug)]
pub(super) enum Place {
    /// In a file.
    File(PathBuf),
    /// In a database that several hosts may serve.
    Servers(Servers),
}

/// A database and the hosts that serve it.
#[derive(Debug)]
pub(super) struct Servers {
    pub(super) user: String,
    pub(super) password: Option<SecretString>,
    pub(super) hosts: Vec<Host>,
    pub(super) database: String,
}

/// A host and its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) name: String,
    pub(super) port: u16,
}

impl Place {
    /// Reads a place as it is typed.
    pub(super) fn parse(state: &str) -> Result<Place, StoreError> {
        let Some((scheme, rest)) = state.split_once(':') else { return file(state) };
        match scheme {
            "sqlite" => file(rest.strip_prefix("//").unwrap_or(rest)),
            "mysql" | "mariadb" => {
                let rest =
                    rest.strip_prefix("//").ok_or_else(|| malformed("`//` is missing after its scheme"))?;
                servers(rest).map(Place::Servers)
            }
            // A path may hold a colon; a scheme that nobody knows is more likely a mistake than a directory.
            _ if rest.starts_with("//") => {
                Err(unavailable(format!("a state cannot be kept at {scheme}://…"), FORMS))
            }
            _ => file(state),
        }
    }
}

fn file(path: &str) -> Result<Place, StoreError> {
    if path.is_empty() {
        return Err(unavailable("the state's path is empty", FORMS));
    }
    // SQLite gives meanings to some relative names (`:memory:`, `file:…`); a path is only ever a path here.
    let is_plain = path.starts_with('/') || path.starts_with("./") || path.starts_with("../");
    Ok(Place::File(if is_plain { PathBuf::from(path) } else { PathBuf::from(format!("./{path}")) }))
}

fn servers(rest: &str) -> Result<Servers, StoreError> {
    // The last `@`: a password that holds one need not be escaped.
    let (account, rest) = rest.rsplit_once('@').ok_or_else(|| malformed("it names no user"))?;
    let (user, password) = match account.split_once(':') {
        Some((user, password)) => (user, Some(SecretString::from(unescape(password)?))),
        None => (account, None),
    };
    let (hosts, database) = rest.split_once('/').ok_or_else(|| malformed("it names no database"))?;
    if let Some((_, options)) = database.split_once('?') {
        let option = options.split(['=', '&']).next().unwrap_or_default();
        return Err(malformed(&format!("the option `{option}` is not known here")));
    }
    let servers = Servers {
        user: unescape(user)?,
        password,
        hosts: hosts.split(',').map(host).collect::<Result<_, _>>()?,
        database: unescape(database)?,
    };
    if servers.user.is_empty() {
        return Err(malformed("it names no user"));
    }
    if servers.database.is_empty() {
        return Err(malformed("it names no database"));
    }
    if servers.hosts.len() > HOSTS_MAX {
        return Err(malformed(&format!("it names more than {HOSTS_MAX} hosts")));
    }
    Ok(servers)
}

fn host(text: &str) -> Result<Host, StoreError> {
    // An IPv6 address stands in brackets, so that its colons are not taken for the port's.
    let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => (address, port.strip_prefix(':')),
        None => match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        },
    };
    if name.is_empty() {
        return Err(malformed("it names no host"));
    }
    let port = match port {
        None => PORT,
        Some(port) => port.parse().map_err(|_| malformed(&format!("the port of {name} is not a number")))?,
    };
    Ok(Host { name: name.to_owned(), port })
}

fn malformed(why: &str) -> StoreError {
    unavailable(format!("the state's address cannot be read: {why}"), FORMS)
}

/// Takes `%40` for `@`, as in any address.
fn unescape(text: &str) -> Result<String, StoreError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match tail {
            [high, low, after @ ..]
                if first == b'%' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                bytes.push(digit(*high) << 4 | digit(*low));
                rest = after;
            }
            _ => bytes.push(first),
        }
    }
    String::from_utf8(bytes).map_err(|_| malformed("user, password or database is not UTF-8"))
}

fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => byte.to_ascii_lowercase() - b'a' + 10,
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(path) => write!(f, "{}", path.display()),
            Place::Servers(servers) => servers.fmt(f),
        }
    }
}

impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mysql://")?;
        for (index, host) in self.hosts.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{host}")?;
        }
        write!(f, "/{}", self.database)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    fn parsed(state: &str) -> Servers {
        match Place::parse(state).unwrap() {
            Place::Servers(servers) => servers,
            Place::File(path) => panic!("taken for the file {}", path.display()),
        }
    }

    fn refused(state: &str) -> String {
        Place::parse(state).unwrap_err().to_string()
    }

    #[test]
    fn several_hosts_share_one_account_and_database() {
        let servers = parsed("mysql://ostler:p%40ss:/w@rd@db1,db2:3307,[fd00::3]:3308/state");
        assert_eq!(servers.user, "ostler");
        assert_eq!(servers.password.as_ref().unwrap().expose_secret(), "p@ss:/w@rd");
        assert_eq!(servers.database, "state");
        let shown: Vec<String> = servers.hosts.iter().map(Host::to_string).collect();
        assert_eq!(shown, ["db1:3306", "db2:3307", "[fd00::3]:3308"]);
    }

    #[test]
    fn a_place_is_shown_without_user_and_password() {
        let place = Place::parse("mysql://ostler:secret@db1,db2/state").unwrap();
        assert_eq!(place.to_string(), "mysql://db1:3306,db2:3306/state");
        assert!(!format!("{place:?}").contains("secret"));
    }

    #[test]
    fn a_path_is_only_ever_a_path() {
        for (typed, path) in [
            ("/var/lib/ostler/state.db", "/var/lib/ostler/state.db"),
            ("sqlite:///var/lib/state.db", "/var/lib/state.db"),
            ("sqlite:state.db", "./state.db"),
            ("state.db", "./state.db"),
            (":memory:", "./:memory:"),
            ("sqlite::memory:", "./:memory:"),
            ("file:state.db?mode=memory", "./file:state.db?mode=memory"),
        ] {
            assert_eq!(Place::parse(typed).unwrap().to_string(), path, "{typed}");
        }
    }

    #[test]
    fn a_malformed_place_is_refused_in_words_and_without_its_password() {
        for (typed, says) in [
            ("", "empty"),
            ("mysql:db1/state", "`//`"),
            ("mysql://db1/state", "names no user"),
            ("mysql://:secret@db1/state", "names no user"),
            ("mysql://ostler:secret@db1", "names no database"),
            ("mysql://ostler:secret@db1/", "names no database"),
            ("mysql://ostler:secret@,db2/state", "names no host"),
            ("mysql://ostler:secret@db1:port/state", "port of db1"),
            ("mysql://ostler:secret@db1/state?ssl-mode=REQUIRED", "`ssl-mode`"),
            ("postgres://ostler:secret@db1/state", "postgres://"),
        ] {
            let message = refused(typed);
            assert!(message.contains(says), "{typed}: {message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
