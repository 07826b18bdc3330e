//! Real servers with real certificates, made by openssl; what is seen of them.

use super::*;
use ostler_model::health::Evidence;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const DAY_S: i64 = 86_400;

/// An authority with its own directory, which issues certificates of any time.
struct Authority {
    home: TempDir,
}

impl Authority {
    fn new(name: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let authority = Self { home };
        let settings = "[ca]\ndefault_ca=own\n[own]\ndir=.\ndatabase=index\nserial=serial\nnew_certs_dir=.\ncertificate=ca.pem\n\
             private_key=ca.key\ndefault_md=sha256\npolicy=any\ncopy_extensions=copy\nunique_subject=no\nrand_serial=yes\n\
             [any]\ncommonName=supplied\n[req]\ndistinguished_name=name\n[name]\n[authority]\nbasicConstraints=critical,CA:true\n";
        std::fs::write(authority.path("own.cnf"), settings).unwrap();
        std::fs::write(authority.path("index"), "").unwrap();
        authority.openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -days 3650 \
             -subj /CN={name} -config own.cnf -extensions authority"
        ));
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn openssl(&self, words: &str) {
        let mut command = Command::new("openssl");
        let done =
            command.args(words.split_whitespace()).current_dir(self.home.path()).output().expect("openssl");
        assert!(done.status.success(), "openssl {words}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// A certificate for a name, from so many days from now to so many: its file holds the key, too.
    fn issue(&self, name: &str, begins: i64, ends: i64) -> PathBuf {
        let moment = |days: i64| {
            let at = Timestamp::from_second(Timestamp::now().as_second() + days * DAY_S).unwrap();
            at.strftime("%Y%m%d%H%M%SZ").to_string()
        };
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout own.key -out own.csr -subj /CN={name} \
             -addext subjectAltName=DNS:{name} -config own.cnf"
        ));
        self.openssl(&format!(
            "ca -batch -notext -config own.cnf -in own.csr -out own.pem -startdate {} -enddate {}",
            moment(begins),
            moment(ends)
        ));
        let both = [self.path("own.pem"), self.path("own.key")].map(|path| std::fs::read(path).unwrap());
        let path = self.path(&format!("{name}{begins}{ends}.pem"));
        std::fs::write(&path, both.concat()).unwrap();
        path
    }
}

/// A server that shows the certificate of a file until the test ends. Its port.
async fn server(pem: &Path) -> u16 {
    let chain = CertificateDer::pem_file_iter(pem).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(pem).unwrap();
    let tls = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move { drop(acceptor.accept(stream).await) });
        }
    });
    port
}

/// What is seen of a server, asked for by the name `localhost`.
async fn seen(pem: &Path, trust: &Trust) -> Evidence {
    let port = server(pem).await;
    let tables = Tables::new(Evidence::new("c", Timestamp::UNIX_EPOCH));
    let tls = Arc::new(Arc::new(Judge::new(&Trust::Anyone).unwrap()).tls().unwrap());
    let place = Place { name: "localhost".into(), at: "127.0.0.1".into(), port };
    let behind = Behind { services: BTreeSet::from(["identity".into()]), is_asked: true };
    one(&place, &behind, &tls, &Reader::new(trust).unwrap(), &tables).await;
    tables.into_evidence()
}

fn days_until(row: &Row, column: &str) -> i64 {
    let second = row[column].number().unwrap() as i64;
    (second - Timestamp::now().as_second() + DAY_S / 2).div_euclid(DAY_S)
}

#[tokio::test]
async fn dates_name_and_issuer_are_what_openssl_wrote() {
    let authority = Authority::new("authority");
    let pem = authority.issue("localhost", -10, 20);
    let evidence = seen(&pem, &Trust::File(authority.path("ca.pem"))).await;
    let row = &evidence.rows("tls")[0];
    assert_eq!((days_until(row, "begins"), days_until(row, "ends")), (-10, 20));
    assert_eq!((&row["names"], &row["named"]), (&"localhost".into(), &true.into()));
    assert_eq!((&row["doubt"], &row["chain_ends"]), (&"".into(), &row["ends"]));
}

#[tokio::test]
async fn one_that_has_ended_is_read_all_the_same_and_is_not_called_untrusted() {
    let authority = Authority::new("authority");
    let pem = authority.issue("localhost", -10, -1);
    let evidence = seen(&pem, &Trust::File(authority.path("ca.pem"))).await;
    let row = &evidence.rows("tls")[0];
    assert_eq!((days_until(row, "ends"), &row["doubt"]), (-1, &"".into()));
}

#[tokio::test]
async fn one_that_does_not_hold_yet_is_read_all_the_same() {
    let authority = Authority::new("authority");
    let pem = authority.issue("localhost", 3, 20);
    let evidence = seen(&pem, &Trust::File(authority.path("ca.pem"))).await;
    let row = &evidence.rows("tls")[0];
    assert_eq!((days_until(row, "begins"), &row["doubt"]), (3, &"".into()));
}

#[tokio::test]
async fn a_wrong_name_is_told_with_the_one_that_is_borne() {
    let authority = Authority::new("authority");
    let pem = authority.issue("other.example.org", -1, 20);
    let evidence = seen(&pem, &Trust::File(authority.path("ca.pem"))).await;
    let row = &evidence.rows("tls")[0];
    assert_eq!((&row["names"], &row["named"]), (&"other.example.org".into(), &false.into()));
}

#[tokio::test]
async fn an_issuer_that_nobody_knows_is_told_unless_anyone_is_trusted() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let pem = theirs.issue("localhost", -1, 20);
    let evidence = seen(&pem, &Trust::File(ours.path("ca.pem"))).await;
    assert_eq!(evidence.rows("tls")[0]["doubt"], "nobody who is believed has issued it".into());
    let evidence = seen(&pem, &Trust::Anyone).await;
    assert_eq!(evidence.rows("tls")[0]["doubt"], "".into());
    // One of the same name is another all the same.
    let evidence = seen(&pem, &Trust::File(Authority::new("theirs").path("ca.pem"))).await;
    let doubt = "who is believed under the name of its issuer has not signed it";
    assert_eq!(evidence.rows("tls")[0]["doubt"], doubt.into());
}

#[tokio::test]
async fn an_authority_that_ends_before_the_certificate_is_the_end_of_the_chain() {
    let root = Authority::new("authority");
    // An authority between: what it vouches for ends with it.
    let between = Authority::new("between");
    root.openssl(&format!(
        "req -new -key {} -out between.csr -subj /CN=between -config own.cnf",
        between.path("ca.key").display()
    ));
    let end = Timestamp::from_second(Timestamp::now().as_second() + 5 * DAY_S).unwrap();
    root.openssl(&format!(
        "ca -batch -notext -config own.cnf -extensions authority -in between.csr -out between.pem -enddate {}",
        end.strftime("%Y%m%d%H%M%SZ")
    ));
    std::fs::copy(root.path("between.pem"), between.path("ca.pem")).unwrap();
    let pem = between.issue("localhost", -1, 90);
    let both = [std::fs::read(&pem).unwrap(), std::fs::read(between.path("ca.pem")).unwrap()];
    std::fs::write(&pem, both.concat()).unwrap();
    let evidence = seen(&pem, &Trust::File(root.path("ca.pem"))).await;
    let row = &evidence.rows("tls")[0];
    assert_eq!((days_until(row, "ends"), days_until(row, "chain_ends")), (90, 5), "{row:?}");
}

#[tokio::test]
async fn a_server_without_tls_is_a_hole_where_it_is_asked() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { drop(listener.accept().await) });
    let tables = Tables::new(Evidence::new("c", Timestamp::UNIX_EPOCH));
    let tls = Arc::new(Arc::new(Judge::new(&Trust::Anyone).unwrap()).tls().unwrap());
    let place = Place { name: "localhost".into(), at: "127.0.0.1".into(), port };
    let behind = Behind { services: BTreeSet::new(), is_asked: true };
    one(&place, &behind, &tls, &Reader::new(&Trust::Anyone).unwrap(), &tables).await;
    let evidence = tables.into_evidence();
    assert_eq!((evidence.rows("tls").len(), evidence.tables["tls"].gaps.len()), (0, 1));
}

#[test]
fn an_address_is_greeted_once_and_the_virtual_address_in_its_place() {
    let endpoint = |service: &str, url: &str, name: &str, asked: bool| {
        row([
            ("service", service.into()),
            ("url", url.into()),
            ("name", name.into()),
            ("port", Value::Number(443.0)),
            ("tls", url.starts_with("https").into()),
            ("asked", asked.into()),
        ])
    };
    let endpoints = [
        endpoint("compute", "https://api.example.org/compute", "api.example.org", true),
        endpoint("image", "https://api.example.org/image", "api.example.org", true),
        endpoint("image", "https://inside.example.org/image", "inside.example.org", false),
        endpoint("network", "http://api.example.org:9696", "api.example.org", true),
    ];
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("clouds.yaml");
    std::fs::write(
        &path,
        "clouds:\n  c:\n    auth: {auth_url: 'http://api.example.org:5000/v3', username: u, password: p, project_name: p, \
         user_domain_name: d, project_domain_name: d}\n",
    )
    .unwrap();
    let credentials = Credentials::read(&path, "c").unwrap();
    let found = places(&endpoints, &credentials, Some("192.0.2.10"));
    let words: Vec<String> = found
        .iter()
        .map(|(place, behind)| format!("{} {} {:?}", place.name, place.at, behind.services))
        .collect();
    assert_eq!(
        words,
        [
            r#"api.example.org 192.0.2.10 {"compute", "image"}"#,
            r#"api.example.org api.example.org {"compute", "image"}"#,
            r#"inside.example.org inside.example.org {"image"}"#,
        ]
    );
}
