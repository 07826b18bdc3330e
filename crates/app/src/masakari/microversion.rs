//! Which microversion a request asks for.
//!
//! It must never guess: what is malformed or not supported is said, with what there is.

use super::fault::{Fault, shown};
use axum::http::{HeaderMap, StatusCode};

/// The header.
pub const HEADER: &str = "openstack-api-version";

/// The word by which this service goes in it.
const SERVICE: &str = "instance-ha";

/// A microversion of major version 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Microversion(pub u16);

impl Microversion {
    /// What is meant when nobody says.
    pub const FIRST: Microversion = Microversion(0);
    /// Notifications tell how the recovery goes.
    pub const WORKFLOW: Microversion = Microversion(1);
    /// Segments can be disabled.
    pub const ENABLED: Microversion = Microversion(2);
    /// The newest.
    pub const LAST: Microversion = Microversion(3);

    /// What a request asks for.
    pub fn of(headers: &HeaderMap) -> Result<Microversion, Fault> {
        let mut wanted = None;
        for value in headers.get_all(HEADER) {
            let Ok(value) = value.to_str() else {
                return Err(Fault::bad("The OpenStack-API-Version header is not readable text."));
            };
            for part in value.split(',') {
                let mut words = part.split_whitespace();
                if words.next() == Some(SERVICE) {
                    wanted = Some(words.next().unwrap_or_default().to_owned());
                }
            }
        }
        match wanted {
            None => Ok(Microversion::FIRST),
            Some(wanted) if wanted == "latest" => Ok(Microversion::LAST),
            Some(wanted) => parse(&wanted),
        }
    }

    /// As it is written in the header of an answer.
    pub fn header(self) -> String {
        format!("{SERVICE} 1.{}", self.0)
    }
}

fn parse(wanted: &str) -> Result<Microversion, Fault> {
    let malformed = || {
        Fault::bad(format!(
            "API version string {} is of invalid format. It must be of format MajorNum.MinorNum.",
            shown(wanted)
        ))
    };
    let (major, minor) = wanted.split_once('.').ok_or_else(malformed)?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let has_zero = |text: &str| text.starts_with('0') && text != "0";
    if !is_number(major) || !is_number(minor) || major.starts_with('0') || has_zero(minor) {
        return Err(malformed());
    }
    match (major, minor.parse::<u16>()) {
        ("1", Ok(minor)) if minor <= Microversion::LAST.0 => Ok(Microversion(minor)),
        _ => Err(Fault::new(
            StatusCode::NOT_ACCEPTABLE,
            format!(
                "Version {} is not supported by the API. Minimum is 1.0 and maximum is 1.{}.",
                shown(wanted),
                Microversion::LAST.0
            ),
        )),
    }
}
