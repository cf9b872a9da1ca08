//! One who asks, over a connection of their own for each request.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where the API is.
#[derive(Clone, Debug)]
pub(super) enum Client {
    Unix(PathBuf),
    Tcp(SocketAddr),
    /// By TLS, believing the certificates of a file.
    Tls(SocketAddr, PathBuf),
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The status, the kind of problem and its words, after it was checked that the problem is a whole one.
    pub(super) fn problem(&self) -> (u16, String, String) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let json = self.json();
        assert_eq!(json["status"], self.status.as_u16());
        let kind = json["type"].as_str().unwrap().strip_prefix("/problems/").unwrap().to_owned();
        assert!(!json["title"].as_str().unwrap().is_empty());
        (self.status.as_u16(), kind, json["detail"].as_str().unwrap().to_owned())
    }
}

impl Client {
    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let answer = self.open(request).await;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Sends a request by TLS, if the other end is believed.
    pub(super) async fn try_send(&self, request: Request<Body>) -> Option<Answer> {
        match self {
            Self::Tls(address, believed) if agree(*address, believed).await.is_err() => None,
            _ => Some(self.send(request).await),
        }
    }

    /// Sends a request and leaves the answer's body to be read.
    pub(super) async fn open(&self, request: Request<Body>) -> hyper::Response<hyper::body::Incoming> {
        match self {
            Self::Unix(path) => over(UnixStream::connect(path).await.unwrap(), request).await,
            Self::Tcp(address) => over(TcpStream::connect(address).await.unwrap(), request).await,
            Self::Tls(address, believed) => over(agree(*address, believed).await.unwrap(), request).await,
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(request("GET", path, &[], "")).await
    }

    pub(super) async fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        self.send(request(method, path, &[("content-type", "application/json")], body)).await
    }

    pub(super) async fn with(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.send(request(method, path, headers, body)).await
    }
}

pub(super) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if headers.iter().all(|(name, _)| *name != "host") {
        request = request.header("host", "localhost");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

async fn over<T>(stream: T, request: Request<Body>) -> hyper::Response<hyper::body::Incoming>
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender.send_request(request).await.unwrap()
}

async fn agree(address: SocketAddr, believed: &Path) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_file_iter(believed).unwrap().map(Result::unwrap));
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}
