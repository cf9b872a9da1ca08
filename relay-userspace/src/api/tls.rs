//! TLS on the TCP address. A certificate that was renewed is taken without a restart, and without being told.

use crate::config;
use crate::control::sources::Watched;
use anyhow::{Context as _, anyhow, ensure};
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The certificate in use, and where it came from.
pub(super) struct Tls {
    files: config::Tls,
    current: ArcSwap<ServerConfig>,
}

impl Tls {
    /// Reads the certificate and its key.
    pub(super) fn open(files: &config::Tls) -> anyhow::Result<Self> {
        Ok(Self { files: files.clone(), current: ArcSwap::new(load(files)?) })
    }

    /// What agrees on keys with the next client.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }

    /// Takes the files anew whenever they have changed. Those that make no sense change nothing.
    pub(super) async fn follow(&self) {
        let mut watched = [&self.files.certificate, &self.files.key].map(|path| Watched::new(path));
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            // Both are looked at each time: what is renewed comes as two files.
            let changed = watched.each_mut().map(Watched::has_changed);
            if changed == [false, false] {
                continue;
            }
            watched.iter_mut().for_each(Watched::seen);
            match load(&self.files) {
                Ok(taken) => {
                    self.current.store(taken);
                    tracing::info!(certificate = %self.files.certificate.display(), "the new certificate is in use");
                }
                Err(error) => tracing::warn!("the certificate in use stays: {error:#}"),
            }
        }
    }
}

fn load(files: &config::Tls) -> anyhow::Result<Arc<ServerConfig>> {
    let (shown, key_shown) = (files.certificate.display(), files.key.display());
    let certificates =
        CertificateDer::pem_file_iter(&files.certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = certificates
        .map_err(|error| anyhow!("http.tls.certificate: cannot read {shown}: {error}: name a file in PEM"))?;
    ensure!(!certificates.is_empty(), "http.tls.certificate: {shown} holds no certificate: name a file in PEM");
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| {
        anyhow!("http.tls.key: cannot read {key_shown}: {error}: name the file of the private key, in PEM")
    })?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .context("http.tls")?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .with_context(|| format!("http.tls: {key_shown} is not the key of {shown}: name files that belong together"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
