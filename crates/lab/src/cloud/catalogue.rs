//! Which projects and packages a cloud consists of, and what each of them is made of.
//!
//! Must never hold a setting of one lab: those are files of its nodes.

use crate::error::LabError;
use serde::{Deserialize, Serialize};

/// A part of a cloud beyond keystone that one can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Nova and what it needs: RabbitMQ, Placement, Glance, Neutron.
    Nova,
    /// Masakari's API and engine, to compare with.
    Masakari,
}

/// The exact versions of a release's cloud services.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CloudRelease {
    pub(crate) series: &'static str,
    /// One `name==version` a line.
    pub(crate) pins: &'static str,
}

const RELEASES: [CloudRelease; 2] = [
    CloudRelease { series: "2025.1", pins: include_str!("../../data/pins/cloud-2025.1.txt") },
    CloudRelease { series: "2026.1", pins: include_str!("../../data/pins/cloud-2026.1.txt") },
];

impl CloudRelease {
    /// The cloud services of a release, if the lab has them.
    pub(crate) fn find(series: &str) -> Option<Self> {
        RELEASES.into_iter().find(|release| release.series == series)
    }

    /// The same, or the way out.
    pub(crate) fn named(series: &str) -> Result<Self, LabError> {
        Self::find(series).ok_or_else(|| {
            LabError::refused(
                format!("the lab has no Nova of release {series}"),
                format!("take `--release` {}", RELEASES.map(|release| release.series).join(" or ")),
            )
        })
    }

    /// The upstream version of a project.
    pub(crate) fn upstream(self, project: &Project) -> &'static str {
        self.pins
            .lines()
            .find_map(|line| line.strip_prefix(project.pin)?.strip_prefix("=="))
            .map_or("0", str::trim)
    }

    /// The version of a project's packages, in Debian's manner.
    pub(crate) fn package_version(self, project: &Project) -> String {
        format!("2:{}-1~ostler12+1", self.upstream(project))
    }
}

/// An OpenStack project: one account, one configuration folder, some packages.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) name: &'static str,
    /// Its name in the pins.
    pub(crate) pin: &'static str,
    /// Its configuration file, under `/etc/NAME`.
    pub(crate) settings: &'static str,
    /// Files that come with the wheels, from `etc/NAME` of the environment.
    pub(crate) shipped: &'static [&'static str],
    /// Programs that operators call.
    pub(crate) programs: &'static [&'static str],
    pub(crate) packages: &'static [Package],
}

/// A package with one unit.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) serves: Serves,
    pub(crate) on: On,
}

/// How a package's program runs.
#[derive(Debug)]
pub(crate) enum Serves {
    /// A WSGI application under uwsgi.
    Wsgi { module: &'static str, port: u16, environment: &'static str },
    /// A program of its own.
    Program { command: &'static str, port: Option<u16> },
}

/// On which nodes a package is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    Controller,
    Compute,
}

impl Package {
    /// The port of its API.
    pub(crate) fn port(&self) -> Option<u16> {
        match self.serves {
            Serves::Wsgi { port, .. } => Some(port),
            Serves::Program { port, .. } => port,
        }
    }
}

/// All projects beyond keystone, in the order in which they can start.
pub(crate) const PROJECTS: [Project; 5] = [
    Project {
        name: "placement",
        pin: "openstack-placement",
        settings: "placement.conf",
        shipped: &[],
        programs: &["placement-manage", "placement-status"],
        packages: &[Package {
            name: "placement-api",
            description: "Placement API",
            serves: Serves::Wsgi {
                module: "placement.wsgi.api",
                port: 8778,
                environment: "OS_PLACEMENT_CONFIG_DIR=/etc/placement",
            },
            on: On::Controller,
        }],
    },
    Project {
        name: "glance",
        pin: "glance",
        settings: "glance-api.conf",
        shipped: &["glance-api-paste.ini"],
        programs: &["glance-manage", "glance-status"],
        packages: &[Package {
            name: "glance-api",
            description: "Image API",
            serves: Serves::Wsgi {
                module: "glance.wsgi.api",
                port: 9292,
                environment: "OS_GLANCE_CONFIG_DIR=/etc/glance",
            },
            on: On::Controller,
        }],
    },
    Project {
        name: "neutron",
        pin: "neutron",
        settings: "neutron.conf",
        shipped: &["api-paste.ini"],
        programs: &["neutron-db-manage", "neutron-status"],
        packages: &[Package {
            name: "neutron-api",
            description: "Network API",
            serves: Serves::Wsgi {
                module: "neutron.wsgi.api",
                port: 9696,
                environment: "OS_NEUTRON_CONFIG_DIR=/etc/neutron OS_NEUTRON_CONFIG_FILES=neutron.conf",
            },
            on: On::Controller,
        }],
    },
    Project {
        name: "nova",
        pin: "nova",
        settings: "nova.conf",
        shipped: &["api-paste.ini"],
        programs: &["nova-manage", "nova-status"],
        packages: &[
            Package {
                name: "nova-conductor",
                description: "Compute conductor",
                serves: Serves::Program { command: "nova-conductor", port: None },
                on: On::Controller,
            },
            Package {
                name: "nova-scheduler",
                description: "Compute scheduler",
                serves: Serves::Program { command: "nova-scheduler", port: None },
                on: On::Controller,
            },
            Package {
                name: "nova-api",
                description: "Compute API",
                serves: Serves::Wsgi {
                    module: "nova.wsgi.osapi_compute",
                    port: 8774,
                    environment: "OS_NOVA_CONFIG_DIR=/etc/nova",
                },
                on: On::Controller,
            },
            Package {
                name: "nova-compute",
                description: "Compute worker",
                serves: Serves::Program { command: "nova-compute", port: None },
                on: On::Compute,
            },
        ],
    },
    Project {
        name: "masakari",
        pin: "masakari",
        settings: "masakari.conf",
        shipped: &["api-paste.ini", "masakari-custom-recovery-methods.conf"],
        programs: &["masakari-manage", "masakari-status"],
        packages: &[
            Package {
                name: "masakari-api",
                description: "Instance HA API",
                serves: Serves::Program { command: "masakari-api", port: Some(15868) },
                on: On::Controller,
            },
            Package {
                name: "masakari-engine",
                description: "Instance HA engine",
                serves: Serves::Program { command: "masakari-engine", port: None },
                on: On::Controller,
            },
        ],
    },
];

/// The packages of a kind of node, each with its project.
pub(crate) fn packages_on(on: On) -> impl Iterator<Item = (&'static Project, &'static Package)> {
    const ALL: &[Project] = &PROJECTS;
    ALL.iter()
        .flat_map(|project| project.packages.iter().map(move |package| (project, package)))
        .filter(move |(_, package)| package.on == on)
}

/// The packages that run in a cloud of these parts, on one kind of node.
pub(crate) fn running_on(on: On, parts: &[Part]) -> impl Iterator<Item = &'static Package> {
    let masakari = parts.contains(&Part::Masakari);
    let nova = parts.contains(&Part::Nova);
    packages_on(on)
        .filter(move |(project, _)| if project.name == "masakari" { masakari } else { nova })
        .map(|(_, package)| package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_release_pins_every_project() {
        for release in RELEASES {
            for project in &PROJECTS {
                assert_ne!(release.upstream(project), "0", "{} of {}", project.name, release.series);
            }
        }
        let nova = PROJECTS.iter().find(|project| project.name == "nova").unwrap();
        assert_eq!(CloudRelease::named("2025.1").unwrap().package_version(nova), "2:31.0.0-1~ostler12+1");
        assert!(CloudRelease::named("2024.1").unwrap_err().to_string().contains("2026.1"));
    }

    #[test]
    fn masakari_runs_only_where_it_was_asked_for() {
        let names = |parts: &[Part]| {
            running_on(On::Controller, parts).map(|package| package.name).collect::<Vec<_>>()
        };
        assert!(!names(&[Part::Nova]).contains(&"masakari-api"));
        assert!(names(&[Part::Nova, Part::Masakari]).contains(&"masakari-engine"));
        assert!(names(&[]).is_empty());
        assert_eq!(running_on(On::Compute, &[Part::Nova]).count(), 1);
    }
}
