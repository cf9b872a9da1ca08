//! TLS: nothing goes over the wire in plain, and a renewed certificate is taken without a restart.

use super::client::{Answer, Client, request};
use super::stage::Stage;
use crate::server::{Server, open};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use relay_config::{Http, Tls};
use relay_control::handover::Begins;
use std::fs::{self, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
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

    /// Waits until a client that believes only this certificate is answered.
    async fn wait_for(&self, believed: &Path) {
        let taken = async {
            while self.ask(believed).await.is_none() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), taken).await.expect("the new certificate is not taken");
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
    encrypted.wait_for(&second).await;
    assert!(encrypted.ask(&first).await.is_none(), "the old one is still shown");
}

/// The new certificate is a pipe to which nobody writes: to read it waits, as on a disk that hangs.
#[tokio::test]
async fn a_certificate_on_a_disk_that_hangs_keeps_nobody_from_an_answer() {
    let encrypted = Encrypted::new();
    let (first, pipe) = (encrypted.copy("first.pem"), &encrypted.files.certificate);
    fs::remove_file(pipe).unwrap();
    mkfifo(pipe, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let mut disk = OpenOptions::new();
    disk.write(true).custom_flags(OFlag::O_NONBLOCK.bits());
    let is_read = async {
        loop {
            // It can be opened as soon as somebody reads it.
            match disk.open(pipe) {
                Ok(disk) => return disk,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    let hangs = tokio::time::timeout(Duration::from_secs(20), is_read).await.expect("nobody looks at it");
    let asked = tokio::time::timeout(Duration::from_secs(10), encrypted.ask(&first));
    assert_eq!(asked.await.expect("nobody is answered").unwrap().status, 200);
    drop(hangs);
    fs::remove_file(pipe).unwrap();
    write(&encrypted.files, &certificate());
    encrypted.wait_for(&encrypted.copy("second.pem")).await;
}

/// Packets flow without an API: whatever is wrong with the files is told, nobody is answered in plain, and they are taken as
/// soon as they can be.
#[tokio::test]
async fn files_that_are_none_are_told_and_taken_once_they_are_some() {
    let encrypted = Encrypted::new();
    let Tls { certificate, key } = encrypted.files.clone();
    let gone = Path::new("/nonexistent.pem").to_owned();
    let other = key.with_file_name("other.key");
    fs::write(&other, self::certificate().signing_key.serialize_pem()).unwrap();
    let bad = [
        (gone.clone(), key.clone(), "http.tls.certificate: cannot read /nonexistent.pem"),
        (key.clone(), key, "holds no certificate"),
        (certificate.clone(), gone, "http.tls.key: cannot read /nonexistent.pem"),
        (certificate.clone(), other.clone(), "is not the key of"),
    ];
    for (certificate, key, text) in bad {
        let socket = encrypted.stage.http.socket.with_extension("none");
        let http = Http { socket, tls: Some(Tls { certificate, key }), ..encrypted.stage.http.clone() };
        let server = encrypted.stage.start_another(&http).unwrap();
        let told = encrypted.stage.told();
        let last = told.iter().rfind(|event| event.event == "http.lacking").unwrap();
        assert!(last.text.contains(text) && last.fields["key"] == "http.tls", "{last:?}");
        assert_eq!(Client::Unix(http.socket.clone()).get("/healthz").await.status, 200);
        let mut plain = TcpStream::connect(server.tcp().unwrap()).await.unwrap();
        let _ = plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        let mut said = Vec::new();
        let _ = plain.read_to_end(&mut said).await;
        assert_eq!(said, b"", "answered in plain");
        if text != "is not the key of" {
            continue;
        }
        let files = Tls { certificate: encrypted.files.certificate.clone(), key: other.clone() };
        write(&files, &self::certificate());
        let (client, deadline) = (Client::Tls(server.tcp().unwrap(), files.certificate), Duration::from_secs(20));
        let answered = async {
            while client.try_send(request("GET", "/healthz", &[], "")).await.is_none() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(deadline, answered).await.expect("the mended files are not taken");
        assert!(encrypted.stage.told().iter().any(|event| event.event == "http.there"));
    }
}

/// A control that has lanes is in charge of them, also where nobody can ask it; one that begins anew is not started.
#[tokio::test]
async fn a_socket_that_cannot_be_had_is_had_later() {
    let stage = Stage::new();
    let folder = stage.http.socket.parent().unwrap();
    let http = Http {
        listen: None,
        socket: folder.join("is-no-folder/mcr.sock"),
        socket_group: Some("mcr-no-such-group".to_owned()),
        ..stage.http.clone()
    };
    fs::write(folder.join("is-no-folder"), "").unwrap();
    let refused = format!("{:#}", open(&http, None, Begins::Anew).err().unwrap());
    assert!(refused.starts_with("http.socket: cannot make the folder of"), "{refused}");
    let _server = stage.start_another(&http).unwrap();
    let told =
        |kind: &str, key: &str| stage.told().iter().any(|event| event.event == kind && event.fields["key"] == key);
    assert!(told("http.lacking", "http.socket"));
    fs::remove_file(folder.join("is-no-folder")).unwrap();
    let deadline = Duration::from_secs(20);
    let is_there = async {
        while !http.socket.exists() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(deadline, is_there).await.expect("it is not tried again");
    assert_eq!(Client::Unix(http.socket.clone()).get("/healthz").await.status, 200);
    assert!(told("http.there", "http.socket") && told("http.lacking", "http.socket_group"));
}
