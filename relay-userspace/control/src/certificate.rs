//! A certificate with its key, and when it ends.

use crate::events::unix_ms_of_utc;
use crate::sources::{Signature, signature};
use anyhow::{Context as _, anyhow, ensure};
use relay_config::Tls;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::sync::Arc;

/// A certificate with its key, as they were read.
#[derive(Clone)]
pub struct Certificate {
    files: Tls,
    server: Arc<ServerConfig>,
    expires: Option<u64>,
    /// How the files looked before they were read.
    read: [Option<Signature>; 2],
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("files", &self.files)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// With the key of the configuration and what to do.
    pub fn open(files: &Tls) -> anyhow::Result<Self> {
        let read = [&files.certificate, &files.key].map(|path| signature(path));
        let (shown, key_shown) = (files.certificate.display(), files.key.display());
        let certificates =
            CertificateDer::pem_file_iter(&files.certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let certificates = certificates
            .map_err(|error| anyhow!("http.tls.certificate: cannot read {shown}: {error}: name a file in PEM"))?;
        ensure!(!certificates.is_empty(), "http.tls.certificate: {shown} holds no certificate: name a file in PEM");
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| {
            anyhow!("http.tls.key: cannot read {key_shown}: {error}: name the file of the private key, in PEM")
        })?;
        // The chain is good for as long as each of it is.
        let expires = certificates.iter().filter_map(|one| not_after(one)).min();
        let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .context("http.tls")?
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .with_context(|| {
                format!("http.tls: {key_shown} is not the key of {shown}: name files that belong together")
            })?;
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { files: files.clone(), server: Arc::new(server), expires, read })
    }

    /// Where it was read.
    #[must_use]
    pub const fn files(&self) -> &Tls {
        &self.files
    }

    /// When it ends, or the first of those above it, in milliseconds since 1970.
    #[must_use]
    pub const fn expires(&self) -> Option<u64> {
        self.expires
    }

    /// How its files looked, certificate and key, before they were read.
    pub const fn read(&self) -> [Option<Signature>; 2] {
        self.read
    }

    /// What agrees on keys with clients.
    pub fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }
}

/// The end of a certificate (RFC 5280, 4.1.2.5), in milliseconds since 1970. Nothing when that cannot be found.
fn not_after(certificate: &[u8]) -> Option<u64> {
    let (whole, _) = element(certificate, SEQUENCE)?;
    let (mut fields, _) = element(whole, SEQUENCE)?;
    // The version has a default, and may not be there.
    if let Some((_, rest)) = element(fields, VERSION) {
        fields = rest;
    }
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        (_, fields) = element(fields, tag)?; // serial number, signature, issuer
    }
    let (validity, _) = element(fields, SEQUENCE)?;
    let (_, rest) = time(validity)?;
    time(rest)?.0
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// The contents of an element of DER with that tag, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = bytes.split_first()?;
    let (&short, rest) = rest.split_first()?;
    let (length, rest) = if short < 0x80 {
        (usize::from(short), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
        if digits.is_empty() || digits.len() > 4 {
            return None;
        }
        (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
    };
    if *found == tag { rest.split_at_checked(length) } else { None }
}

/// A moment, and what follows it.
fn time(bytes: &[u8]) -> Option<(Option<u64>, &[u8])> {
    let (text, rest, digits) = match element(bytes, UTC_TIME) {
        Some((text, rest)) => (text, rest, 2),
        None => element(bytes, GENERALIZED_TIME).map(|(text, rest)| (text, rest, 4))?,
    };
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, text) = text.split_at_checked(digits)?;
    let year: u16 = year.parse().ok()?;
    // Two digits are those of 1950 to 2049.
    let year = if digits == 4 { year } else { year + if year < 50 { 2000 } else { 1900 } };
    let part = |i: usize| text.get(2 * i..2 * i + 2)?.parse::<u8>().ok();
    Some((unix_ms_of_utc(year, [part(0)?, part(1)?, part(2)?, part(3)?, part(4)?]), rest))
}

#[cfg(test)]
mod tests {
    use super::not_after;
    use proptest::prelude::*;

    /// A certificate that ends in that year.
    fn until(year: i32) -> Vec<u8> {
        let mut wanted = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        wanted.not_after = rcgen::date_time_ymd(year, 2, 28);
        let key = rcgen::KeyPair::generate().unwrap();
        wanted.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_is_found_in_both_ways_of_writing_it() {
        let end = |year| not_after(&until(year)).map(crate::events::rfc3339);
        assert_eq!(end(2027).as_deref(), Some("2027-02-28T00:00:00.000Z"));
        assert_eq!(end(2075).as_deref(), Some("2075-02-28T00:00:00.000Z"));
    }

    proptest! {
        #[test]
        fn whatever_stands_there_ends_nothing_else(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = not_after(&bytes);
        }

        #[test]
        fn a_certificate_that_is_cut_or_changed_ends_nothing_else(at in 0_usize..400, byte in any::<u8>(), to in 0_usize..500) {
            let mut certificate = until(2030);
            let at = at % certificate.len();
            certificate[at] = byte;
            certificate.truncate(to.min(certificate.len()));
            let _ = not_after(&certificate);
        }
    }
}
