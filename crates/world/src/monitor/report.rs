//! Reports as the Masakari API, version 1, takes them, byte for byte what upstream's monitors send.
//!
//! It must never add a field: the API refuses what it does not know.

use super::keys::{HostKey, ServerKeys, from_hexadecimal, hexadecimal};
use ostler_model::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Names the host that signed.
pub const HOST_HEADER: &str = "x-ostler-host";
/// Says when it signed, in seconds.
pub const TIME_HEADER: &str = "x-ostler-time";
/// The signature.
pub const SIGNATURE_HEADER: &str = "x-ostler-signature";

/// How far apart the clocks of a host and a server may be for a signature to count, in seconds. A report that is played
/// again within that time joins the one that it repeats.
const SIGNATURE_AGE_MAX_S: i64 = 300;

/// What is reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "of")]
pub enum What {
    /// A host, as others see it.
    Host {
        /// Whether it is gone; otherwise it came back.
        is_gone: bool,
        /// Whether it is proven that the host is as it should be when it is gone: without power.
        is_proven: bool,
    },
    /// A guest.
    Guest {
        /// Its identity.
        guest: String,
        /// What happened.
        event: String,
        /// More exactly.
        detail: String,
    },
    /// A process.
    Process {
        /// Its name.
        process: String,
        /// Whether it is gone; otherwise it is well again.
        is_gone: bool,
    },
}

/// One report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The host that it is about.
    pub host: String,
    /// When what it says was seen.
    pub seen: Timestamp,
    /// What it says.
    #[serde(flatten)]
    pub what: What,
}

impl Report {
    /// What a later report has to be about to take this one's place.
    pub fn subject(&self) -> String {
        match &self.what {
            What::Host { .. } => format!("host/{}", self.host),
            What::Guest { guest, event, .. } => format!("guest/{guest}/{event}"),
            What::Process { process, .. } => format!("process/{}/{process}", self.host),
        }
    }

    /// The body of the request.
    pub fn body(&self) -> Value {
        let (kind, payload) = match &self.what {
            What::Host { is_gone: true, is_proven } => (
                "COMPUTE_HOST",
                json!({"event": "STOPPED", "cluster_status": "OFFLINE",
                       "host_status": if *is_proven { "NORMAL" } else { "UNKNOWN" }}),
            ),
            What::Host { is_gone: false, .. } => (
                "COMPUTE_HOST",
                json!({"event": "STARTED", "cluster_status": "ONLINE", "host_status": "NORMAL"}),
            ),
            What::Guest { guest, event, detail } => {
                ("VM", json!({"event": event, "instance_uuid": guest, "vir_domain_event": detail}))
            }
            What::Process { process, is_gone } => (
                "PROCESS",
                json!({"event": if *is_gone { "STOPPED" } else { "STARTED" }, "process_name": process}),
            ),
        };
        // Upstream's form: microseconds, no zone, universal time.
        let seen = self.seen.strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string();
        json!({"notification": {"type": kind, "hostname": self.host, "generated_time": seen, "payload": payload}})
    }

    /// For a person, in one line.
    pub fn words(&self) -> String {
        match &self.what {
            What::Host { is_gone: true, is_proven } => {
                let proof = if *is_proven { "fenced" } else { "not known to be fenced" };
                format!("host {} is gone ({proof})", self.host)
            }
            What::Host { is_gone: false, .. } => format!("host {} is back", self.host),
            What::Guest { guest, event, detail } => format!("guest {guest}: {event} {detail}"),
            What::Process { process, is_gone } => {
                format!("process {process} {}", if *is_gone { "is down" } else { "is well again" })
            }
        }
    }
}

/// The headers that prove who reports.
pub fn sign(
    key: &HostKey,
    host: &str,
    now: Timestamp,
    method: &str,
    path: &str,
    body: &[u8],
) -> [(&'static str, String); 3] {
    let time = now.as_second().to_string();
    let signature = key.sign(&parts(host, &time, method, path, &Sha256::digest(body)));
    [
        (HOST_HEADER, host.to_owned()),
        (TIME_HEADER, time),
        (SIGNATURE_HEADER, format!("v1={}", hexadecimal(&signature))),
    ]
}

fn parts<'a>(
    host: &'a str,
    time: &'a str,
    method: &'a str,
    path: &'a str,
    digest: &'a [u8],
) -> [&'a [u8]; 6] {
    [b"report", host.as_bytes(), time.as_bytes(), method.as_bytes(), path.as_bytes(), digest]
}

/// Why a signed request is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotBelieved {
    /// Something is missing or unreadable.
    #[error("the signature cannot be read")]
    Unreadable,
    /// The clocks are too far apart, or it was kept.
    #[error("it was signed {off_s} s ago by the host's clock; at most {SIGNATURE_AGE_MAX_S} s are taken")]
    Time {
        /// How far off.
        off_s: i64,
    },
    /// The signature is not that of this host's key.
    #[error("the signature is not that of this host's key")]
    Signature,
}

/// A request as a server received it.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// The value of [`HOST_HEADER`].
    pub host: &'a str,
    /// The value of [`TIME_HEADER`].
    pub time: &'a str,
    /// The value of [`SIGNATURE_HEADER`].
    pub signature: &'a str,
    /// `POST`
    pub method: &'a str,
    /// The path of the request without its query.
    pub path: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// For the server: the host whose key signed a request. It may report about itself, and as a witness about others.
pub fn signer<'a>(keys: &ServerKeys, signed: &Signed<'a>, now: Timestamp) -> Result<&'a str, NotBelieved> {
    let time: i64 = signed.time.parse().map_err(|_| NotBelieved::Unreadable)?;
    let signature = signed.signature.strip_prefix("v1=").and_then(from_hexadecimal);
    let signature = signature.ok_or(NotBelieved::Unreadable)?;
    let digest = Sha256::digest(signed.body);
    let parts = parts(signed.host, signed.time, signed.method, signed.path, &digest);
    if !keys.of(signed.host).any(|key| key.is_signed(&parts, &signature)) {
        return Err(NotBelieved::Signature);
    }
    let off_s = now.as_second().saturating_sub(time);
    if off_s.saturating_abs() > SIGNATURE_AGE_MAX_S {
        return Err(NotBelieved::Time { off_s });
    }
    Ok(signed.host)
}

#[cfg(test)]
mod tests {
    use super::super::keys::for_tests;
    use super::*;

    fn report(what: What) -> Report {
        let seen = "2026-11-21T19:30:01.123456Z".parse().unwrap();
        Report { host: "node-12".into(), seen, what }
    }

    #[test]
    fn bodies_are_those_of_upstreams_monitors() {
        let guest =
            What::Guest { guest: "9d3a".into(), event: "LIFECYCLE".into(), detail: "STOPPED_FAILED".into() };
        let bodies: Vec<String> = [
            What::Host { is_gone: true, is_proven: true },
            What::Host { is_gone: true, is_proven: false },
            What::Host { is_gone: false, is_proven: true },
            guest,
            What::Process { process: "nova-compute".into(), is_gone: true },
            What::Process { process: "nova-compute".into(), is_gone: false },
        ]
        .into_iter()
        .map(|what| report(what).body().to_string())
        .collect();
        insta::assert_snapshot!(bodies.join("\n"), @r#"
        {"notification":{"generated_time":"2026-11-21T19:30:01.123456","hostname":"node-12","payload":{"cluster_status":"OFFLINE","event":"STOPPED","host_status":"NORMAL"},"type":"COMPUTE_HOST"}}
        {"notification":{"generated_time":"2026-11-21T19:30:01.123456","hostname":"node-12","payload":{"cluster_status":"OFFLINE","event":"STOPPED","host_status":"UNKNOWN"},"type":"COMPUTE_HOST"}}
        {"notification":{"generated_time":"2026-11-21T19:30:01.123456","hostname":"node-12","payload":{"cluster_status":"ONLINE","event":"STARTED","host_status":"NORMAL"},"type":"COMPUTE_HOST"}}
        {"notification":{"generated_time":"2026-11-21T19:30:01.123456","hostname":"node-12","payload":{"event":"LIFECYCLE","instance_uuid":"9d3a","vir_domain_event":"STOPPED_FAILED"},"type":"VM"}}
        {"notification":{"generated_time":"2026-11-21T19:30:01.123456","hostname":"node-12","payload":{"event":"STOPPED","process_name":"nova-compute"},"type":"PROCESS"}}
        {"notification":{"generated_time":"2026-11-21T19:30:01.123456","hostname":"node-12","payload":{"event":"STARTED","process_name":"nova-compute"},"type":"PROCESS"}}
        "#);
    }

    #[test]
    fn a_later_report_about_the_same_takes_the_earlier_ones_place() {
        let down = report(What::Process { process: "p".into(), is_gone: true });
        let up = report(What::Process { process: "p".into(), is_gone: false });
        assert_eq!(down.subject(), up.subject());
        let event = |event: &str| {
            report(What::Guest { guest: "g".into(), event: event.into(), detail: "X".into() }).subject()
        };
        assert_ne!(event("LIFECYCLE"), event("IO_ERROR"));
    }

    fn taken(change: impl FnOnce(&mut [String; 5], &mut Vec<u8>, &mut i64)) -> Result<String, NotBelieved> {
        let keys = for_tests("a key that is long enough for this test");
        let key = keys.of("cmp1").next().unwrap();
        let now: Timestamp = "2026-11-21T19:30:01Z".parse().unwrap();
        let mut body = b"{}".to_vec();
        let signed = sign(&key, "cmp1", now, "POST", "/v1/notifications", &body);
        let [host, time, signature] = signed.map(|(_, value)| value);
        let mut values = [host, time, signature, "POST".into(), "/v1/notifications".into()];
        let mut later_s = 0;
        change(&mut values, &mut body, &mut later_s);
        let [host, time, signature, method, path] = &values;
        let signed = Signed { host, time, signature, method, path, body: &body };
        let now = Timestamp::from_second(now.as_second() + later_s).unwrap();
        signer(&keys, &signed, now).map(str::to_owned)
    }

    #[test]
    fn a_signed_request_is_believed() {
        assert_eq!(taken(|_, _, _| {}), Ok("cmp1".into()));
    }

    #[test]
    fn a_request_that_was_changed_or_kept_is_not() {
        assert_eq!(taken(|values, _, _| values[0] = "cmp2".into()), Err(NotBelieved::Signature));
        assert_eq!(taken(|values, _, _| values[1] = "1".into()), Err(NotBelieved::Signature));
        assert_eq!(taken(|values, _, _| values[1] = "soon".into()), Err(NotBelieved::Unreadable));
        assert_eq!(taken(|values, _, _| values[2] = "v2=00".into()), Err(NotBelieved::Unreadable));
        assert_eq!(taken(|values, _, _| values[4] = "/v1/hosts".into()), Err(NotBelieved::Signature));
        assert_eq!(taken(|_, body, _| body.push(b' ')), Err(NotBelieved::Signature));
        assert_eq!(taken(|_, _, later| *later = 301), Err(NotBelieved::Time { off_s: 301 }));
        assert_eq!(taken(|_, _, later| *later = -301), Err(NotBelieved::Time { off_s: -301 }));
    }
}
