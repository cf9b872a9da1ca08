//! TLS on the TCP address. A certificate that was renewed is taken without a restart, and without being told.

use super::shared::Api;
use super::wanted;
use relay_control::certificate::Certificate;
use relay_control::http::HttpDesk;
use relay_control::sources::Watched;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// TCP is to speak TLS, and the certificate cannot be had.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoCertificate;

/// What agrees on keys with the next client; nothing where TCP is plain.
pub(super) fn acceptor(http: &HttpDesk) -> Result<Option<TlsAcceptor>, NoCertificate> {
    match http.certificate.load().as_ref() {
        Some(certificate) => Ok(Some(TlsAcceptor::from(certificate.server()))),
        None if http.in_force().tls.is_some() => Err(NoCertificate),
        None => Ok(None),
    }
}

/// Takes the files anew whenever they have changed. Those that make no sense change nothing; where there was no certificate
/// yet they are tried each time.
pub(super) async fn follow(api: &Api) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let seen = Arc::new(Mutex::new(None));
    loop {
        looks.tick().await;
        let lacks = if api.desk.http.in_force().tls.is_none() {
            None
        } else {
            let seen = Arc::clone(&seen);
            let looked = api.with_files("looking at the certificate", move |api| {
                let lacks = want(&api.desk.http);
                look(&api.desk.http, &mut seen.lock().unwrap_or_else(PoisonError::into_inner));
                lacks
            });
            // On a disk that hangs nothing is new.
            let Ok(lacks) = looked.await else { continue };
            lacks
        };
        wanted::tell(api, wanted::TLS, lacks);
    }
}

/// Takes the certificate that could not be had so far. Says why it cannot be had still.
fn want(http: &HttpDesk) -> Option<String> {
    match &http.in_force().tls {
        Some(files) if http.certificate.load().is_none() => match Certificate::open(files) {
            Ok(taken) => {
                http.renew(&None, taken);
                None
            }
            Err(error) => Some(format!("{error:#}")),
        },
        _ => None,
    }
}

/// The certificate whose files are watched, and its files.
type Seen = Option<(Arc<Certificate>, [Watched; 2])>;

fn look(http: &HttpDesk, seen: &mut Seen) {
    let Some(current) = http.certificate.load_full() else {
        *seen = None;
        return;
    };
    let (of, watched) = seen.get_or_insert_with(|| watch(&current));
    if of.files() != current.files() {
        *seen = Some(watch(&current));
        return;
    }
    // Both are looked at each time: what is renewed comes as two files.
    if watched.each_mut().map(Watched::has_changed) == [false, false] {
        return;
    }
    watched.iter_mut().for_each(Watched::seen);
    match Certificate::open(current.files()) {
        Ok(taken) => {
            let files = current.files().clone();
            http.renew(&Some(current), taken);
            tracing::info!(certificate = %files.certificate.display(), "the new certificate is in use");
        }
        Err(error) => tracing::warn!("the certificate in use stays: {error:#}"),
    }
}

/// Whatever the files are by now, what was read counts as taken.
fn watch(certificate: &Arc<Certificate>) -> (Arc<Certificate>, [Watched; 2]) {
    let files = certificate.files();
    let mut watched = [&files.certificate, &files.key].map(|path| Watched::new(path));
    watched.iter_mut().zip(certificate.read()).for_each(|(watched, read)| watched.took(read));
    (Arc::clone(certificate), watched)
}
