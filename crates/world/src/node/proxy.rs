//! Load balancers: taking a server out of all of them, and putting it back, through HAProxy's runtime socket.
//!
//! It must never take the last server of a backend out unless the plan says so, and never change one load balancer
//! when another one cannot be asked.

use super::unit::Work;
use super::words;
use ostler_model::event::Why;
use ostler_model::ids::HostName;
use ostler_model::inventory::{Inventory, Seen};

/// Time that is left of a step's limit for everything but waiting.
const MARGIN_S: u32 = 3;

/// How long a server may take to be seen healthy where the step has no limit to speak of.
const HEALTHY_LIMIT_MIN_S: u32 = 5;

const DRAIN: &str = concat!(
    include_str!("../../data/node/prelude.sh"),
    include_str!("../../data/node/lib-proxy.sh"),
    include_str!("../../data/node/proxy-drain.sh"),
    include_str!("../../data/node/dispatch.sh")
);

const ENABLE: &str = concat!(
    include_str!("../../data/node/prelude.sh"),
    include_str!("../../data/node/lib-proxy.sh"),
    include_str!("../../data/node/proxy-enable.sh"),
    include_str!("../../data/node/dispatch.sh")
);

/// A server of a backend, and the load balancers before it.
pub(crate) struct Server<'a> {
    pub backend: &'a str,
    pub server: &'a str,
    pub through: &'a [HostName],
}

impl Server<'_> {
    fn work(&self, script: &str) -> Result<Work, Why> {
        words::proxy(self.backend)?;
        words::proxy(self.server)?;
        if self.through.is_empty() {
            return Err(Why::new(format!(
                "the step names no load balancer for {}/{}",
                self.backend, self.server
            )));
        }
        let work = Work {
            hosts: self.through.to_vec(),
            script: script.to_owned(),
            values: Vec::new(),
            argv: Vec::new(),
            log_bytes: 0,
        };
        Ok(work.value("backend", self.backend).value("server", self.server))
    }

    /// Takes it out.
    pub(crate) fn drain(&self, patience_s: u32, last: bool) -> Result<Work, Why> {
        let work = self.work(DRAIN)?.value("patience_s", patience_s.to_string());
        Ok(work.value("last", if last { "yes" } else { "no" }))
    }

    /// Puts it back.
    pub(crate) fn enable(&self, limit_s: u32) -> Result<Work, Why> {
        let patience_s = limit_s.saturating_sub(MARGIN_S).max(HEALTHY_LIMIT_MIN_S);
        Ok(self.work(ENABLE)?.value("patience_s", patience_s.to_string()))
    }

    /// Whether every load balancer answers and knows the server; and, unless it may be the last one, has another
    /// server that takes requests.
    pub(crate) fn may_go(&self, seen: &Inventory, last: bool) -> Result<(), Why> {
        let name = format!("{}/{}", self.backend, self.server);
        for host in self.through {
            let node = match seen.nodes.get(host) {
                Some(Seen::Fresh(node)) => node,
                Some(Seen::Stale { why, .. } | Seen::Unreachable { why }) => {
                    return Err(Why::new(format!(
                        "the load balancer on {host} cannot be asked, so {name} stays where it is: {why}"
                    ))
                    .hint(format!("bring {host} back, or leave it out of the plan")));
                }
                None => {
                    return Err(Why::new(format!(
                        "the load balancer on {host} was not looked at, so {name} stays where it is"
                    )));
                }
            };
            let Some(servers) = &node.proxy else {
                let gap = seen.gaps.iter().find(|gap| gap.host == *host && gap.what == "haproxy");
                let reason = gap.map_or("there is no HAProxy", |gap| gap.why.as_str());
                return Err(Why::new(format!(
                    "the load balancer on {host} cannot be asked, so {name} stays where it is: {reason}"
                ))
                .hint(format!("on {host}, see: systemctl status haproxy")));
            };
            let of_backend = || servers.iter().filter(|other| other.backend == self.backend);
            if !of_backend().any(|other| other.server == self.server) {
                return Err(Why::new(format!("the load balancer on {host} has no server {name}"))
                    .hint("correct haproxy.cfg there, or the backend's name in the catalogue"));
            }
            if !last && !of_backend().any(|other| other.server != self.server && other.serves()) {
                return Err(Why::new(format!(
                    "{name} is the last server that takes requests on the load balancer of {host}"
                ))
                .hint("bring another server into service first"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostler_model::Timestamp;
    use ostler_model::inventory::{Gap, Node, ServerAdmin, ServerSeen};
    use std::collections::BTreeMap;

    fn server(name: &str, up: bool, admin: ServerAdmin) -> ServerSeen {
        ServerSeen {
            backend: "keystone".into(),
            server: name.into(),
            address: String::new(),
            up,
            admin,
            sessions: 0,
            backup: false,
        }
    }

    fn seen(nodes: &[(&str, Option<Vec<ServerSeen>>)]) -> Inventory {
        let nodes = nodes.iter().map(|(host, proxy)| {
            let node = Node { proxy: proxy.clone(), ..Node::default() };
            (HostName::from(*host), Seen::Fresh(Box::new(node)))
        });
        Inventory {
            format: 1,
            cloud: "c".into(),
            taken: Timestamp::UNIX_EPOCH,
            nodes: nodes.collect::<BTreeMap<_, _>>(),
            gaps: Vec::new(),
        }
    }

    #[test]
    fn a_server_may_go_only_if_another_one_serves_everywhere() {
        let through = [HostName::from("ctl1"), HostName::from("ctl2")];
        let one = Server { backend: "keystone", server: "ctl1", through: &through };
        let good =
            || vec![server("ctl1", true, ServerAdmin::Ready), server("ctl2", true, ServerAdmin::Ready)];
        let drained =
            vec![server("ctl1", true, ServerAdmin::Ready), server("ctl2", true, ServerAdmin::Drain)];
        let ill = vec![server("ctl1", true, ServerAdmin::Ready), server("ctl2", false, ServerAdmin::Ready)];
        assert!(one.may_go(&seen(&[("ctl1", Some(good())), ("ctl2", Some(good()))]), false).is_ok());
        for bad in [drained, ill] {
            let inventory = seen(&[("ctl1", Some(good())), ("ctl2", Some(bad))]);
            assert!(one.may_go(&inventory, false).unwrap_err().what.contains("last server"));
            assert!(one.may_go(&inventory, true).is_ok());
        }
    }

    #[test]
    fn nothing_goes_while_a_load_balancer_is_silent() {
        let through = [HostName::from("ctl1"), HostName::from("ctl2")];
        let one = Server { backend: "keystone", server: "ctl1", through: &through };
        let good = vec![server("ctl1", true, ServerAdmin::Ready), server("ctl2", true, ServerAdmin::Ready)];
        let mut inventory = seen(&[("ctl1", Some(good.clone())), ("ctl2", None)]);
        inventory.gaps.push(Gap {
            host: HostName::from("ctl2"),
            what: "haproxy".into(),
            why: "no socket".into(),
        });
        assert!(one.may_go(&inventory, true).unwrap_err().what.contains("no socket"));
        inventory.nodes.insert(HostName::from("ctl2"), Seen::Unreachable { why: "timed out".into() });
        assert!(one.may_go(&inventory, true).unwrap_err().what.contains("timed out"));
        assert!(one.may_go(&seen(&[("ctl1", Some(good))]), true).is_err());
    }
}
