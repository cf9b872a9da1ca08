//! Whose certificates are believed when a node is asked over TLS.

use super::failure::Failure;
use crate::args::Node;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Whose certificates are believed.
#[derive(Clone, Debug)]
pub(super) enum Trust {
    /// Those of this machine's list.
    Machine,
    /// Those in a file, and no others.
    File(PathBuf),
}

impl Trust {
    /// What the options say, else the environment, else this machine.
    pub(super) fn choose(node: &Node, variable: Option<OsString>) -> Self {
        let variable = variable.filter(|value| !value.is_empty()).map(PathBuf::from);
        node.ca_file.clone().or(variable).map_or(Self::Machine, Self::File)
    }

    /// Agrees with the other end on keys, when it is the host that it should be. The outer error is of this side.
    pub(super) async fn agree<T>(&self, host: &str, stream: T) -> Result<io::Result<TlsStream<T>>, Failure>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let wrong = |error: String| Failure::usage(format!("cannot speak TLS with {host}: {error}"));
        let name = ServerName::try_from(host.to_owned()).map_err(|error| wrong(error.to_string()))?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(error.to_string()))?
            .with_root_certificates(self.roots()?)
            .with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)).connect(name, stream).await)
    }

    fn roots(&self) -> Result<RootCertStore, Failure> {
        let mut roots = RootCertStore::empty();
        match self {
            Self::File(file) => roots.add_parsable_certificates(read(file)?),
            // What of the machine's list cannot be read is missed when it is needed, and then it is told.
            Self::Machine => roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs),
        };
        match self {
            Self::File(file) if roots.is_empty() => Err(unusable(file, "holds no certificate")),
            _ => Ok(roots),
        }
    }
}

fn read(file: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let certificates = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    certificates.map_err(|error| unusable(file, &format!("cannot be read: {error}")))
}

fn unusable(file: &Path, why: &str) -> Failure {
    Failure::usage(format!("{} {why}: name a file of certificates in PEM", file.display()))
}
