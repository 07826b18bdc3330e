//! Where each call is: the one table that the server, its description and their test go by.
//!
//! A resource is found with and without the project in front, and with and without `.json` behind. It must never take
//! the name of a resource for a project.

use super::fault::Fault;
use axum::http::Method;

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Lists segments.
    SegmentList,
    /// Makes a segment.
    SegmentCreate,
    /// Shows a segment.
    SegmentShow,
    /// Changes a segment.
    SegmentUpdate,
    /// Deletes a segment.
    SegmentDelete,
    /// Lists the hosts of a segment.
    HostList,
    /// Adds a host.
    HostCreate,
    /// Shows a host.
    HostShow,
    /// Changes a host.
    HostUpdate,
    /// Deletes a host.
    HostDelete,
    /// Lists notifications.
    NotificationList,
    /// Takes a report.
    NotificationCreate,
    /// Shows a notification.
    NotificationShow,
    /// Lists the moves of a notification.
    MoveList,
    /// Shows a move.
    MoveShow,
    /// Lists extensions.
    ExtensionList,
    /// Shows an extension.
    ExtensionShow,
    /// Shows the version.
    VersionShow,
}

/// A call: method, path below the version with `*` for each name, what it does, and the rule of who may.
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The path; `*` stands for a name.
    pub path: &'static str,
    /// What it does.
    pub action: Action,
    /// The policy's rule.
    pub rule: &'static str,
}

const fn route(method: &'static str, path: &'static str, action: Action, rule: &'static str) -> Route {
    Route { method, path, action, rule }
}

/// Every call.
pub const ROUTES: &[Route] = &[
    route("GET", "segments", Action::SegmentList, "os_masakari_api:segments:index"),
    route("POST", "segments", Action::SegmentCreate, "os_masakari_api:segments:create"),
    route("GET", "segments/*", Action::SegmentShow, "os_masakari_api:segments:detail"),
    route("PUT", "segments/*", Action::SegmentUpdate, "os_masakari_api:segments:update"),
    route("DELETE", "segments/*", Action::SegmentDelete, "os_masakari_api:segments:delete"),
    route("GET", "segments/*/hosts", Action::HostList, "os_masakari_api:os-hosts:index"),
    route("POST", "segments/*/hosts", Action::HostCreate, "os_masakari_api:os-hosts:create"),
    route("GET", "segments/*/hosts/*", Action::HostShow, "os_masakari_api:os-hosts:detail"),
    route("PUT", "segments/*/hosts/*", Action::HostUpdate, "os_masakari_api:os-hosts:update"),
    route("DELETE", "segments/*/hosts/*", Action::HostDelete, "os_masakari_api:os-hosts:delete"),
    route("GET", "notifications", Action::NotificationList, "os_masakari_api:notifications:index"),
    route("POST", "notifications", Action::NotificationCreate, "os_masakari_api:notifications:create"),
    route("GET", "notifications/*", Action::NotificationShow, "os_masakari_api:notifications:detail"),
    route("GET", "notifications/*/vmoves", Action::MoveList, "os_masakari_api:vmoves:index"),
    route("GET", "notifications/*/vmoves/*", Action::MoveShow, "os_masakari_api:vmoves:detail"),
    route("GET", "extensions", Action::ExtensionList, "os_masakari_api:extensions:index"),
    route("GET", "extensions/*", Action::ExtensionShow, "os_masakari_api:extensions:detail"),
    route("GET", "versions/v1.0", Action::VersionShow, "os_masakari_api:versions:index"),
];

/// A call that was found.
pub struct Found<'a> {
    /// The route.
    pub route: &'static Route,
    /// The names in its path, in order.
    pub names: Vec<&'a str>,
}

/// A path below `/v1`, taken apart.
pub struct Place<'a> {
    /// The project in front, if one is.
    pub project: Option<&'a str>,
    parts: Vec<&'a str>,
}

impl<'a> Place<'a> {
    /// Takes a path apart, without the version and the slash behind it.
    pub fn of(path: &'a str) -> Place<'a> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let path = path.strip_suffix(".json").unwrap_or(path);
        let mut parts: Vec<&str> = path.split('/').collect();
        let first = parts.first().copied().unwrap_or_default();
        let is_project = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'))
        };
        let project = (parts.len() > 1 && is_project(first)).then_some(first);
        if project.is_some() {
            parts.remove(0);
        }
        Place { project, parts }
    }

    /// The call of a method at this place.
    pub fn find(&self, method: &Method) -> Result<Found<'a>, Fault> {
        // Clients that only want to know whether something is there.
        let method = if *method == Method::HEAD { "GET" } else { method.as_str() };
        let mut is_place = false;
        for route in ROUTES {
            if let Some(names) = self.names(route.path) {
                is_place = true;
                if route.method == method {
                    return Ok(Found { route, names });
                }
            }
        }
        // Some calls were always known and never allowed; all else is no place at all.
        let is_action = self.parts.len() > 2 && self.parts.last() == Some(&"action");
        let is_known = matches!(method, "GET" | "POST" | "PUT" | "DELETE");
        let is_versions = self.parts.as_slice() == ["versions"];
        match is_known && (is_place || is_versions || (is_action && method == "POST")) {
            true => Err(Fault::method()),
            false => Err(Fault::nowhere()),
        }
    }

    fn names(&self, path: &str) -> Option<Vec<&'a str>> {
        let mut names = Vec::new();
        let mut wanted = path.split('/');
        for part in &self.parts {
            match wanted.next()? {
                "*" if !part.is_empty() => names.push(*part),
                word if word == *part => {}
                _ => return None,
            }
        }
        wanted.next().is_none().then_some(names)
    }
}
