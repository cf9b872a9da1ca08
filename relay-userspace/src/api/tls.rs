//! TLS on the TCP address. A certificate that was renewed is taken without a restart, and without being told.

use super::certificate::Certificate;
use crate::control::http::HttpDesk;
use crate::control::sources::Watched;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What agrees on keys with the next client, if there is a certificate.
pub(super) fn acceptor(http: &HttpDesk) -> Option<TlsAcceptor> {
    http.certificate.load().as_ref().map(|certificate| TlsAcceptor::from(certificate.server()))
}

/// Takes the files anew whenever they have changed. Those that make no sense change nothing.
pub(super) async fn follow(http: &HttpDesk) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watched = None;
    loop {
        looks.tick().await;
        look(http, &mut watched);
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
            // Unless control has taken another meanwhile.
            http.certificate.compare_and_swap(&current, Some(Arc::new(taken)));
            tracing::info!(certificate = %current.files().certificate.display(), "the new certificate is in use");
        }
        Err(error) => tracing::warn!("the certificate in use stays: {error:#}"),
    }
}

fn watch(certificate: &Arc<Certificate>) -> (Arc<Certificate>, [Watched; 2]) {
    let files = certificate.files();
    (Arc::clone(certificate), [&files.certificate, &files.key].map(|path| Watched::new(path)))
}
