//! The shapes of names that end up in commands and queries: what is not a plain name is refused before anything is sent.
//!
//! It must never repair a name.

use ostler_model::event::Why;

/// The longest name of any kind; paths are the longest, and this is far beyond what a package or a site makes.
const NAME_BYTES_MAX: usize = 1024;

fn refuse(kind: &str, name: &str) -> Why {
    Why::new(format!("`{}` is not {kind} that a step can name; nothing was done", name.escape_debug()))
        .hint("correct the catalogue page or the settings that it comes from, and plan again")
}

fn check(kind: &str, name: &str, is_right: impl Fn(char) -> bool) -> Result<(), Why> {
    let is_name = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.starts_with('-')
        && name.chars().all(is_right);
    if is_name { Ok(()) } else { Err(refuse(kind, name)) }
}

/// An absolute path without blanks, wildcards or steps upwards.
pub(crate) fn path(name: &str) -> Result<(), Why> {
    check("a path", name, |letter| letter.is_ascii_alphanumeric() || "/._-+@%:=,~".contains(letter))?;
    let is_absolute = name.starts_with('/') && name.len() > 1 && !name.split('/').any(|part| part == "..");
    if is_absolute { Ok(()) } else { Err(refuse("an absolute path", name)) }
}

/// A systemd unit.
pub(crate) fn unit(name: &str) -> Result<(), Why> {
    check("a unit", name, |letter| letter.is_ascii_alphanumeric() || ":-_.@".contains(letter))
}

/// A Debian package.
pub(crate) fn package(name: &str) -> Result<(), Why> {
    check("a package", name, |letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter))
}

/// A package's version.
pub(crate) fn version(name: &str) -> Result<(), Why> {
    check("a version", name, |letter| letter.is_ascii_alphanumeric() || "+-.~:".contains(letter))
}

/// A database or a table.
pub(crate) fn database(name: &str) -> Result<(), Why> {
    check("a database", name, |letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-')
}

/// A schema head.
pub(crate) fn head(name: &str) -> Result<(), Why> {
    check("a schema head", name, |letter| letter.is_ascii_alphanumeric() || "_-.".contains(letter))
}

/// An account on a node.
pub(crate) fn account(name: &str) -> Result<(), Why> {
    check("an account", name, |letter| letter.is_ascii_alphanumeric() || "_-.".contains(letter))
}

/// A backend or a server of a load balancer.
pub(crate) fn proxy(name: &str) -> Result<(), Why> {
    check("a backend or server", name, |letter| letter.is_ascii_alphanumeric() || "_-.:".contains(letter))
}

/// One line of text.
pub(crate) fn line(kind: &str, text: &str) -> Result<(), Why> {
    if text.len() <= NAME_BYTES_MAX && !text.contains(['\n', '\0']) {
        Ok(())
    } else {
        Err(refuse(kind, text))
    }
}

/// Checks each of many.
pub(crate) fn each<'a, S: AsRef<str> + 'a>(
    names: impl IntoIterator<Item = &'a S>,
    check: impl Fn(&str) -> Result<(), Why>,
) -> Result<(), Why> {
    names.into_iter().try_for_each(|name| check(name.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_pass() {
        assert!(path("/etc/keystone/keystone.conf").is_ok());
        for wrong in ["etc", "/", "/a/../b", "/a b", "/a*", "/a\nb", "", "-r", "/$HOME"] {
            assert!(path(wrong).is_err(), "{wrong}");
        }
        assert!(database("keystone").is_ok() && database("a`; drop").is_err());
        assert!(package("python3-keystone").is_ok() && package("-o").is_err());
        assert!(unit("a@b.service").is_ok() && unit("a b").is_err());
    }
}
