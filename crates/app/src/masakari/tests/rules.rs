//! Callers: what a token is answered with, and what the policy lets its holder do.

use super::super::Authentication;
use super::super::authenticate::Caller;
use super::Desk;
use axum::body::Body;
use axum::http::Request;
use ostler_world::monitor::keys::ServerKeys;
use ostler_world::monitor::report::sign;
use ostler_world::openstack::{Credentials, Identity, Interface, Named, Scope, Tokens};
use ostler_world::web::Trust;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// An identity service that knows a few tokens, and counts what it is asked.
async fn keystone(asked: Arc<AtomicUsize>) -> (u16, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let asked = Arc::clone(&asked);
            tokio::spawn(async move {
                let mut seen = Vec::new();
                let mut part = [0; 4096];
                loop {
                    match stream.read(&mut part).await {
                        Ok(0) | Err(_) => return,
                        Ok(count) => seen.extend_from_slice(&part[..count]),
                    }
                    let text = String::from_utf8_lossy(&seen).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let head = head.to_ascii_lowercase();
                    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
                    if body.len() < length.and_then(|length| length.parse().ok()).unwrap_or(0) {
                        continue;
                    }
                    let token = |user: &str, project: Value, roles: &[&str], system: Value| {
                        let roles: Vec<Value> = roles.iter().map(|role| json!({ "name": role })).collect();
                        json!({"token": {"user": {"id": user}, "project": project, "roles": roles, "system": system,
                            "expires_at": "2999-01-01T00:00:00.000000Z"}})
                    };
                    let project = json!({"id": "abc123"});
                    let subject = head.split("x-subject-token: ").nth(1).and_then(|rest| rest.lines().next());
                    let (status, answer) = if head.starts_with("post") {
                        (
                            "201 Created\r\nX-Subject-Token: own",
                            token("us", project, &["service"], Value::Null),
                        )
                    } else {
                        asked.fetch_add(1, Ordering::Relaxed);
                        match subject {
                            Some("admin") => ("200 OK", token("a", project, &["admin"], Value::Null)),
                            Some("monitor") => ("200 OK", token("m", project, &["ha-monitor"], Value::Null)),
                            Some("member") => {
                                ("200 OK", token("x", project, &["member", "reader"], Value::Null))
                            }
                            Some("system") => {
                                ("200 OK", token("s", Value::Null, &["reader"], json!({"all": true})))
                            }
                            Some("broken") => ("200 OK", json!({"token": 7})),
                            Some("error") => ("500 Oops", json!({})),
                            _ => ("404 Not Found", json!({})),
                        }
                    };
                    let answer = answer.to_string();
                    let answer =
                        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{answer}", answer.len());
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                    seen.clear();
                }
            });
        }
    });
    (port, serving)
}

fn desk(port: u16) -> Desk {
    let credentials = Credentials {
        auth_tls: false,
        trust: Trust::default(),
        region: None,
        interface: Interface::default(),
        endpoints: std::collections::BTreeMap::new(),
        entry: "ostler".into(),
        auth_host: "127.0.0.1".into(),
        auth_port: port,
        auth_path: "/identity".into(),
        identity: Identity::Password {
            user: Named::Id("us".into()),
            password: String::from("secret").into(),
        },
        scope: Scope::Project(Named::Id("p".into())),
    };
    let mut desk = Desk::new();
    let tokens = Arc::new(Tokens::new(credentials, 60).unwrap());
    desk.api.authentication = Authentication::Keystone { realm: tokens.place(), tokens };
    desk
}

async fn ask(desk: &Desk, token: &str, method: &str, path: &str, body: Value) -> super::Answered {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let request = if token.is_empty() { request } else { request.header("x-auth-token", token) };
    desk.raw(request.body(Body::from(body.to_string())).unwrap()).await
}

#[tokio::test]
async fn tokens_are_checked_once_and_their_holders_do_what_they_may() {
    let asked = Arc::new(AtomicUsize::new(0));
    let (port, serving) = keystone(Arc::clone(&asked)).await;
    let desk = desk(port);
    for token in ["", "unknown", "with space"] {
        let refused = ask(&desk, token, "GET", "/v1/segments", Value::Null).await;
        assert_eq!(refused.status.as_u16(), 401, "{token}");
        let error = &refused.body["error"];
        assert_eq!((&error["code"], &error["title"]), (&json!(401), &json!("Unauthorized")));
        let challenge = format!("Keystone uri=\"http://127.0.0.1:{port}/identity\"");
        assert_eq!(refused.headers["www-authenticate"], challenge.as_str());
    }
    assert_eq!(
        ask(&desk, "", "GET", "/v1", Value::Null).await.status.as_u16(),
        200,
        "discovery needs no token"
    );
    asked.store(0, Ordering::Relaxed);
    let segment = json!({"segment": {"name": "s", "recovery_method": "auto", "service_type": "COMPUTE"}});
    for (token, list, create, report) in [
        ("admin", 200, 201, 400),
        ("monitor", 403, 403, 400),
        ("member", 403, 403, 403),
        ("system", 200, 403, 403),
    ] {
        let status = |answer: super::Answered| answer.status.as_u16();
        assert_eq!(status(ask(&desk, token, "GET", "/v1/segments", Value::Null).await), list, "{token}");
        assert_eq!(
            status(ask(&desk, token, "POST", "/v1/segments", segment.clone()).await),
            create,
            "{token}"
        );
        assert_eq!(
            status(ask(&desk, token, "POST", "/v1/notifications", json!({})).await),
            report,
            "{token}"
        );
    }
    assert_eq!(asked.load(Ordering::Relaxed), 4, "each token is asked about once");
    ask(&desk, "admin", "GET", "/v1/abc123/segments", Value::Null).await.is(200);
    ask(&desk, "admin", "GET", "/v1/abc124/segments", Value::Null).await.fault(400, "badRequest");
    let refused = ask(&desk, "member", "GET", "/v1/segments", Value::Null).await;
    assert!(refused.fault(403, "forbidden").contains("os_masakari_api:segments:index"));
    serving.abort();
}

#[tokio::test]
async fn an_identity_service_that_is_ill_lets_nobody_in() {
    let asked = Arc::new(AtomicUsize::new(0));
    let (port, serving) = keystone(asked).await;
    let healthy = desk(port);
    for token in ["error", "broken"] {
        let answer = ask(&healthy, token, "GET", "/v1/segments", Value::Null).await;
        assert_eq!(answer.status.as_u16(), 503, "{token}");
        assert_eq!(answer.body["error"]["code"], 503);
        assert!(!answer.headers.contains_key("www-authenticate"));
    }
    serving.abort();
    let _ = serving.await;
    let gone = desk(port);
    let answer = ask(&gone, "admin", "GET", "/v1/segments", Value::Null).await;
    assert_eq!(answer.status.as_u16(), 503);
    let why = answer.body["error"]["message"].as_str().unwrap();
    assert!(why.contains(&format!("127.0.0.1:{port}")), "it says which identity service: {why}");
}

#[tokio::test]
async fn without_authentication_everybody_is_an_admin_of_any_project() {
    let desk = Desk::new();
    let caller = desk.api.authentication.caller(&Default::default()).await.unwrap();
    assert!(matches!(caller.as_ref(), Caller { is_everybody: true, project: None, .. }));
    desk.get("/v1/0123456789abcdef/segments").await.is(200);
}

/// A desk that knows hosts by their keys, and a signed report of one of them.
fn signed_desk() -> (super::Desk, ServerKeys) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.key");
    std::fs::write(&path, "a server key that is long enough for this test").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let keys = ServerKeys::read(&[path]).unwrap();
    let mut desk = Desk::new();
    desk.api.host_keys = Some(keys.clone());
    (desk, keys)
}

/// What a monitor on `signer` sends about something on `hostname`.
async fn signed(
    desk: &Desk,
    keys: &ServerKeys,
    signer: &str,
    kind: &str,
    hostname: &str,
    payload: Value,
) -> u16 {
    let body = json!({"notification": {
        "type": kind, "hostname": hostname, "generated_time": "2026-11-27T21:54:16.950951", "payload": payload,
    }})
    .to_string();
    let key = keys.of(signer).next().unwrap();
    let headers = sign(&key, signer, desk.api.clock.now(), "POST", "/v1/notifications", body.as_bytes());
    let mut request =
        Request::builder().method("POST").uri("/v1/notifications").header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    desk.raw(request.body(Body::from(body)).unwrap()).await.status.as_u16()
}

#[tokio::test]
async fn a_host_that_signs_reports_itself_and_is_a_witness_of_others() {
    let (desk, keys) = signed_desk();
    let segment = desk.segment("s").await;
    for host in ["cmp1", "cmp2"] {
        desk.host(&segment, host).await;
    }
    let process = json!({"event": "STOPPED", "process_name": "nova-compute"});
    let gone = json!({"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"});
    assert_eq!(signed(&desk, &keys, "cmp1", "PROCESS", "cmp1", process.clone()).await, 202);
    assert_eq!(signed(&desk, &keys, "cmp1", "COMPUTE_HOST", "cmp2", gone).await, 202);
    assert_eq!(signed(&desk, &keys, "cmp1", "PROCESS", "cmp2", process).await, 403, "what it cannot know");
}

#[tokio::test]
async fn whoever_signs_may_do_nothing_but_report() {
    let (desk, keys) = signed_desk();
    let key = keys.of("cmp1").next().unwrap();
    let mut request = Request::builder().method("GET").uri("/v1/segments");
    for (name, value) in sign(&key, "cmp1", desk.api.clock.now(), "GET", "/v1/segments", b"") {
        request = request.header(name, value);
    }
    assert_eq!(desk.raw(request.body(Body::empty()).unwrap()).await.status.as_u16(), 403);
}

#[tokio::test]
async fn a_signature_that_is_not_good_is_refused_where_nobody_else_would_be() {
    let (desk, keys) = signed_desk();
    let key = keys.of("cmp1").next().unwrap();
    let mut request = Request::builder().method("POST").uri("/v1/notifications");
    for (name, value) in
        sign(&key, "cmp1", desk.api.clock.now(), "POST", "/v1/notifications", b"another body")
    {
        request = request.header(name, value);
    }
    assert_eq!(desk.raw(request.body(Body::from("{}")).unwrap()).await.status.as_u16(), 401);
}
