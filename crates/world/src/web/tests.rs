//! What is known of a request that brought no answer.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn get(url: String) -> Ask {
    Ask { method: Method::GET, url, headers: Vec::new(), body: None, limit: Duration::from_secs(5) }
}

/// A server that reads one request and then says this, and closes.
async fn server(says: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await;
        let _ = stream.write_all(says).await;
    });
    format!("http://{address}/")
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let error = Web::new(&Trust::Anyone).unwrap().ask(get(url)).await.unwrap_err();
    assert!(error.nothing_was_sent() && error.to_string().contains("refused"), "{error:?}");
}

#[tokio::test]
async fn a_connection_that_ends_before_the_answer_leaves_it_open() {
    let url = server(b"").await;
    let error = Web::new(&Trust::Anyone).unwrap().ask(get(url)).await.unwrap_err();
    assert!(!error.nothing_was_sent(), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_lost() {
    let url = server(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{").await;
    let error = Web::new(&Trust::Anyone).unwrap().ask(get(url)).await.unwrap_err();
    assert!(!error.nothing_was_sent(), "{error:?}");
}

#[tokio::test]
async fn what_is_no_http_is_lost() {
    let url = server(b"SSH-2.0-OpenSSH_9.2p1\r\n").await;
    assert!(Web::new(&Trust::Anyone).unwrap().ask(get(url)).await.is_err());
}

#[tokio::test]
async fn an_address_that_cannot_be_used_is_no_panic_and_shows_no_password() {
    let web = Web::new(&Trust::Anyone).unwrap();
    for url in ["", "no address", "ftp://u:hunter2@h/", "http://", "http://u:hunter2@[::1", "http://h:99999/"]
    {
        let error = web.ask(get(url.to_owned())).await.unwrap_err();
        assert!(error.nothing_was_sent() && !error.to_string().contains("hunter2"), "{url}: {error:?}");
    }
}
