//! `ostler serve`: its settings, its beginning and end, and the real clients.

use crate::environment::Home;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server without authentication on a state of its own; it ends with the test.
pub struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(home: &Home) -> Server {
        Server::with(home, "")
    }

    /// With more in its settings.
    pub fn with(home: &Home, more: &str) -> Server {
        let text = format!("[serve]\nlisten = \"127.0.0.1:0\"\nauth = \"noauth\"\n{more}");
        home.write("serve.toml", text);
        let mut child = Command::new(env!("CARGO_BIN_EXE_ostler"))
            .args(["--config", "serve.toml", "--state", "state.db", "serve"])
            .current_dir(home.path("."))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains("on http://")).expect("it listens");
        let address = line.split("on http://").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        std::thread::spawn(move || lines.for_each(drop));
        Server { child, address }
    }

    pub fn get(&self, path: &str) -> (u16, String) {
        self.ask("GET", path, "")
    }

    pub fn post(&self, path: &str, body: &serde_json::Value) -> (u16, serde_json::Value) {
        let (status, body) = self.ask("POST", path, &body.to_string());
        (status, serde_json::from_str(&body).unwrap())
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}

#[test]
fn a_server_answers_and_ends_when_it_is_told_to() {
    let home = Home::empty();
    let mut server = Server::start(&home);
    assert_eq!(server.get("/healthcheck"), (200, "{\"detailed\":false,\"reasons\":[\"OK\"]}".to_owned()));
    assert_eq!(server.get("/v1/segments"), (200, "{\"segments\":[]}".to_owned()));
    let (status, document) = server.get("/openapi.json");
    assert_eq!(status, 200);
    assert!(document.contains("\"openapi\": \"3.0.3\""));
    // A second server on the same state.
    let second = Server::start(&home);
    assert_eq!(second.get("/v1/segments").0, 200);
    let ended = Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status().unwrap();
    assert!(ended.success());
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_policy_with_a_typo_ends_the_server_before_it_listens() {
    let home = Home::empty();
    home.write("serve.toml", "[serve]\nauth = \"noauth\"\npolicy = \"policy.yaml\"\n");
    home.write(
        "policy.yaml",
        "\"os_masakari_api:segments:index\": \"role:ops\"\n\"os_masakari_api:segments:indx\": \"@\"\n",
    );
    let said = home.says("serve --config serve.toml --state state.db --check");
    assert!(said.starts_with("exit 2\n"), "{said}");
    assert!(said.contains("policy.yaml:2: there is no rule `os_masakari_api:segments:indx`"), "{said}");
    assert!(said.contains("did you mean `os_masakari_api:segments:index`?"), "{said}");
    home.write("policy.yaml", "\"os_masakari_api:segments:index\": \"role:ops\"\n");
    let said = home.says("serve --config serve.toml --state state.db --check");
    assert!(said.starts_with("exit 0\n"), "{said}");
}

#[test]
fn settings_that_make_no_sense_are_named() {
    let home = Home::empty();
    for (text, says) in [
        ("", "says nothing of a server"),
        ("[serve]\n", "`clouds-yaml` is missing below `[serve]`"),
        ("[serve]\nauth = \"none\"\n", "`none` is not possible here"),
        ("[serve]\nauth = \"noauth\"\nlisten = \"everywhere\"\n", "this is no address to listen on"),
        (
            "[serve]\nauth = \"noauth\"\n[serve.events]\nwebhook = \"chat.example.org\"\n",
            "serve.toml:4: the address begins with neither",
        ),
        ("[serve]\nauth = \"noauth\"\n[serve.events]\nwebhok = \"x\"\n", "there is no key `webhok` here"),
        ("[serve]\nauht = \"noauth\"\n", "there is no key `auht` here"),
        ("[serve]\nauth = \"noauth\"\npolicy = \"none.yaml\"\n", "cannot read the policy"),
        ("[serve]\nclouds-yaml = \"none.yaml\"\nclouds-entry = \"x\"\n", "none.yaml"),
    ] {
        home.write("serve.toml", text);
        let said = home.says("serve --config serve.toml --state state.db --check");
        assert!(said.starts_with("exit 2\n"), "{text}: {said}");
        assert!(said.contains(says), "{text}: {said}");
        assert!(said.contains("hint: "), "{text}: {said}");
    }
}

/// The Python of the real clients, which `scripts/prepare` installs.
fn clients() -> PathBuf {
    let cache = std::env::var_os("OSTLER_TEST_CLIENTS").map(PathBuf::from).unwrap_or_else(|| {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let cache = cache.unwrap_or_else(|| Path::new(&std::env::var_os("HOME").unwrap()).join(".cache"));
        cache.join("ostler").join("clients")
    });
    let python = cache.join("bin").join("python");
    assert!(
        python.exists(),
        "the clients of instance HA are not installed at {}; `./test` installs them, or: `. scripts/prepare; prepare_clients`",
        cache.display()
    );
    python
}

fn talk(part: &str) {
    let home = Home::empty();
    let server = Server::start(&home);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/talk.py");
    let output = Command::new(clients())
        .arg(script)
        .args([part, &format!("http://{}/v1", server.address)])
        .current_dir(home.path("."))
        .env("HOME", home.path("."))
        .env_remove("OS_CLOUD")
        .output()
        .unwrap();
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{said}");
}

#[test]
fn openstacksdk_finds_everything_as_with_masakari() {
    talk("sdk");
}

#[test]
fn the_openstack_command_finds_everything_as_with_masakari() {
    talk("cli");
}
