//! The identity service's calls through the front door, to a real server of HTTP that closes connections as it likes.

use crate::http_server::{Asked, Server, Told};
use ostler_engine::seam::{Called, Cloud as _};
use ostler_model::cloud::Cloud;
use ostler_model::event::Why;
use ostler_model::step::{Call, Through};
use ostler_world::openstack::{Credentials, KeystoneCloud};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A cloud that is only an address.
pub(crate) fn cloud_without_nodes() -> Cloud {
    Cloud {
        name: "lab".into(),
        flavour: Default::default(),
        virtual_address: None,
        package_source: String::new(),
        backup_directory: String::new(),
        nodes: Default::default(),
    }
}

fn keystone(url: &str) -> (KeystoneCloud, Through) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("clouds.yaml");
    let auth = format!("{{auth_url: '{url}/v3', user_id: u, password: hunter2, project_id: p}}");
    std::fs::write(&path, format!("clouds:\n  lab:\n    auth: {auth}\n")).unwrap();
    let cloud = cloud_without_nodes();
    let nodes = ostler_world::node::SshNodes::new(
        cloud.clone(),
        Arc::new(ostler_model::catalogue::Catalogue::with_site(&[]).unwrap()),
        ostler_world::node::SshAccess {
            user: String::new(),
            key: "/nowhere".into(),
            known_hosts: "/nowhere".into(),
        },
    );
    let credentials = Credentials::read(&path, "lab").unwrap();
    let port = url.rsplit_once(':').unwrap().1.parse().unwrap();
    (KeystoneCloud::with(&cloud, credentials, nodes.connections()), Through::Front { port })
}

async fn call(url: &str, calls: &[Call]) -> Result<Called, Why> {
    let (keystone, through) = keystone(url);
    keystone.call(&through, calls).await
}

fn regions() -> Call {
    Call::List { path: "/v3/regions".into(), key: "regions".into() }
}

const TOKEN: &str = r#"{"token": {"user": {"id": "u"}, "expires_at": "2100-01-01T00:00:00Z"}}"#;

fn identity(asked: &Asked) -> Told {
    match (asked.method.as_str(), asked.path.as_str()) {
        ("POST", "/v3/auth/tokens") => {
            Told::Say(201, vec![("X-Subject-Token", "secret".into())], TOKEN.into())
        }
        ("GET", "/v3/auth/tokens") => Told::Say(200, Vec::new(), TOKEN.into()),
        ("GET", "/v3/regions") => Told::Say(200, Vec::new(), r#"{"regions": []}"#.into()),
        _ => Told::Say(404, Vec::new(), "{}".into()),
    }
}

#[tokio::test]
async fn a_server_that_says_so_and_closes_after_each_answer_is_asked_over_new_connections() {
    let server = Server::start(identity).await;
    let called = call(&server.url, &[Call::IssueToken {}, Call::ValidateToken {}, regions()]).await;
    assert_eq!(called.map(|called| called.calls), Ok(3));
    let asked: Vec<String> = server.asked.lock().unwrap().iter().map(|one| one.method.clone()).collect();
    assert_eq!(asked, ["POST", "GET", "GET"]);
}

/// A server whose connections end as their number, from 0, and that of their request say: after the answer, or before it.
/// Answers its address and what was asked.
async fn rude(ends: &'static [(usize, bool)]) -> (String, Arc<std::sync::Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    tokio::spawn(async move {
        for (answers, hears_one_more) in ends {
            let (mut stream, _) = listener.accept().await.unwrap();
            for request in 0..answers + usize::from(*hears_one_more) {
                let mut bytes = vec![0; 65_536];
                let read = stream.read(&mut bytes).await.unwrap();
                let text = String::from_utf8_lossy(&bytes[..read]).into_owned();
                let mut words = text.split(' ');
                let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
                log.lock().unwrap().push(method.to_owned());
                if request == *answers {
                    break;
                }
                let (method, path, headers) = (method.to_owned(), path.to_owned(), Default::default());
                let Told::Say(status, more, body) =
                    identity(&Asked { method, path, headers, body: String::new() })
                else {
                    return;
                };
                // Nothing here says that the connection ends.
                let mut told = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
                for (name, value) in more {
                    told.push_str(&format!("{name}: {value}\r\n"));
                }
                stream.write_all(format!("{told}\r\n{body}").as_bytes()).await.unwrap();
            }
        }
    });
    (url, asked)
}

#[tokio::test]
async fn a_list_whose_connection_is_closed_instead_of_an_answer_is_asked_for_again() {
    let (url, asked) = rude(&[(1, true), (1, false)]).await;
    let called = call(&url, &[regions()]).await;
    assert_eq!(called.map(|called| called.calls), Ok(1));
    assert_eq!(*asked.lock().unwrap(), ["POST", "GET", "GET"]);
}

#[tokio::test]
async fn what_changes_something_and_may_have_been_heard_is_not_asked_for_again() {
    let (url, asked) = rude(&[(1, true), (1, false)]).await;
    let called = call(&url, &[Call::IssueToken {}, Call::IssueToken {}]).await;
    assert!(called.is_err(), "{called:?}");
    assert_eq!(*asked.lock().unwrap(), ["POST", "POST"]);
}

#[tokio::test]
async fn a_new_connection_that_is_closed_without_an_answer_is_a_failure() {
    let (url, asked) = rude(&[(1, true), (0, true), (1, false)]).await;
    let called = call(&url, &[regions()]).await;
    assert!(called.is_err(), "{called:?}");
    assert_eq!(*asked.lock().unwrap(), ["POST", "GET", "GET"]);
}
