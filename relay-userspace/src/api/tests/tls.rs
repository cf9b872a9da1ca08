//! TLS: nothing goes over the wire in plain, and a renewed certificate is taken without a restart.

use super::client::{Answer, Client, request};
use super::stage::Stage;
use crate::api::server::Server;
use crate::config::{Http, Tls};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A certificate of its own issuer for this machine.
fn certificate() -> CertifiedKey<rcgen::KeyPair> {
    generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap()
}

/// The files of a certificate, and an API that speaks by it.
struct Encrypted {
    stage: Stage,
    files: Tls,
    _server: Server,
    address: SocketAddr,
}

impl Encrypted {
    fn new() -> Self {
        let stage = Stage::new();
        let folder = stage.http.socket.parent().unwrap().to_owned();
        let files = Tls { certificate: folder.join("tls.pem"), key: folder.join("tls.key") };
        write(&files, &certificate());
        let http = Http {
            listen: Some("127.0.0.1:0".parse().unwrap()),
            socket: folder.join("tls.sock"),
            tls: Some(files.clone()),
            ..stage.http.clone()
        };
        let server = stage.start_another(&http).unwrap();
        let address = server.tcp().unwrap();
        Self { stage, files, _server: server, address }
    }

    fn client(&self, believed: &Path) -> Client {
        Client::Tls(self.address, believed.to_owned())
    }

    /// What a client that believes only this certificate is answered; nothing when the other end has another.
    async fn ask(&self, believed: &Path) -> Option<Answer> {
        self.client(believed).try_send(request("GET", "/healthz", &[], "")).await
    }

    /// A copy of the certificate in use.
    fn copy(&self, name: &str) -> PathBuf {
        let copy = self.files.certificate.with_file_name(name);
        fs::copy(&self.files.certificate, &copy).unwrap();
        copy
    }
}

fn write(files: &Tls, certificate: &CertifiedKey<rcgen::KeyPair>) {
    fs::write(&files.certificate, certificate.cert.pem()).unwrap();
    fs::write(&files.key, certificate.signing_key.serialize_pem()).unwrap();
}

#[tokio::test]
async fn what_is_asked_by_tls_is_answered_and_nothing_else() {
    let encrypted = Encrypted::new();
    let first = encrypted.copy("first.pem");
    assert_eq!(encrypted.ask(&first).await.unwrap().status, 200);
    let mut plain = TcpStream::connect(encrypted.address).await.unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    let _ = plain.read_to_end(&mut said).await; // Reset or ended: both are no answer.
    assert!(!String::from_utf8_lossy(&said).contains("HTTP/"), "{said:?}");
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_and_a_wrong_one_is_not() {
    let encrypted = Encrypted::new();
    let first = encrypted.copy("first.pem");
    // Not a certificate, then one of another key: the first stays.
    fs::write(&encrypted.files.certificate, "nonsense").unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(encrypted.ask(&first).await.unwrap().status, 200);
    fs::write(&encrypted.files.certificate, certificate().cert.pem()).unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(encrypted.ask(&first).await.unwrap().status, 200);

    write(&encrypted.files, &certificate());
    let second = encrypted.copy("second.pem");
    let taken = async {
        while encrypted.ask(&second).await.is_none() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), taken).await.expect("the new certificate is not taken");
    assert!(encrypted.ask(&first).await.is_none(), "the old one is still shown");
}

#[tokio::test]
async fn files_that_are_none_are_told_at_the_start() {
    let encrypted = Encrypted::new();
    let start = |files: Tls| {
        let socket = encrypted.stage.http.socket.with_extension("none");
        let http = Http { socket, tls: Some(files), ..encrypted.stage.http.clone() };
        format!("{:#}", encrypted.stage.start_another(&http).unwrap_err())
    };
    let Tls { certificate, key } = encrypted.files.clone();
    let gone = Path::new("/nonexistent.pem").to_owned();
    let said = start(Tls { certificate: gone.clone(), key: key.clone() });
    assert!(said.contains("http.tls.certificate: cannot read /nonexistent.pem"), "{said}");
    let said = start(Tls { certificate: key.clone(), key: key.clone() });
    assert!(said.contains("holds no certificate"), "{said}");
    let said = start(Tls { certificate: certificate.clone(), key: gone });
    assert!(said.contains("http.tls.key: cannot read /nonexistent.pem"), "{said}");
    let other = key.with_file_name("other.key");
    fs::write(&other, self::certificate().signing_key.serialize_pem()).unwrap();
    let said = start(Tls { certificate, key: other });
    assert!(said.contains("is not the key of"), "{said}");
}
