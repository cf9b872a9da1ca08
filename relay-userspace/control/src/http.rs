//! What of `[http]` is in force: whom the API lets in, by which certificate, and which keys wait for the next start.

use crate::certificate::Certificate;
use arc_swap::{ArcSwap, ArcSwapOption};
use relay_config::Http;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use tokio::sync::watch;

/// What of `[http]` is in force. Clones are the same. Control changes it, the API follows.
#[derive(Clone, Debug)]
pub struct HttpDesk {
    in_force: Arc<watch::Sender<Arc<InForce>>>,
    /// The certificate in use, if TCP speaks TLS.
    pub certificate: Arc<ArcSwapOption<Certificate>>,
    lacks: Arc<ArcSwap<Lacks>>,
}

/// Why keys of `[http]` cannot be had yet; the API tries again.
pub type Lacks = BTreeMap<&'static str, String>;

/// `[http]` as it is in force.
#[derive(Clone, Debug, Default)]
pub struct InForce {
    http: Http,
    started_with: Http,
    /// The keys of which the file says something else, and that count from the next start of mcr on.
    pub restart_keys: Vec<&'static str>,
}

impl Deref for InForce {
    type Target = Http;

    fn deref(&self) -> &Http {
        &self.http
    }
}

impl InForce {
    /// As the file had it when mcr was started, which is not always what was opened.
    #[must_use]
    pub const fn started_with(&self) -> &Http {
        &self.started_with
    }
}

/// What of another `[http]` can be taken, read and found right. What the API changes meanwhile stays: it takes a certificate that
/// was renewed, and an address that could not be had at first.
#[derive(Debug)]
pub struct Prepared {
    file: Http,
    restart_keys: Vec<&'static str>,
    certificate: Taken,
    /// What is another then, one line each, for people.
    pub changes: Vec<String>,
}

/// The certificate of another `[http]`.
#[derive(Debug)]
enum Taken {
    /// The one that is followed already, or cannot be had yet.
    Same,
    /// The one that could not be had so far.
    Wanted(Arc<Certificate>),
    /// Another, or none.
    Other(Option<Arc<Certificate>>),
}

const NONE: Option<Arc<Certificate>> = None;

impl Default for HttpDesk {
    fn default() -> Self {
        let in_force = Arc::new(watch::channel(Arc::default()).0);
        Self { in_force, certificate: Arc::default(), lacks: Arc::default() }
    }
}

impl HttpDesk {
    /// The API starts: with this file, this was opened.
    pub fn begin(&self, started_with: &Http, opened: &Http, certificate: Option<Certificate>) {
        self.certificate.store(certificate.map(Arc::new));
        let (http, started_with) = (opened.clone(), started_with.clone());
        self.in_force.send_replace(Arc::new(InForce { http, started_with, restart_keys: Vec::new() }));
    }

    /// What is in force now.
    #[must_use]
    pub fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.in_force.borrow())
    }

    /// What of it cannot be had yet, by the key of the file, and why.
    #[must_use]
    pub fn lacks(&self) -> Arc<Lacks> {
        self.lacks.load_full()
    }

    /// Notes that a key cannot be had, or can. Says whether it was otherwise before.
    #[must_use]
    pub fn note_lack(&self, key: &'static str, why: Option<String>) -> bool {
        let mut lacks = Lacks::clone(&self.lacks.load());
        let before = match why.clone() {
            Some(why) => lacks.insert(key, why),
            None => lacks.remove(key),
        };
        if before != why {
            // Only the thread of the API does this.
            self.lacks.store(Arc::new(lacks));
        }
        before.is_some() != why.is_some()
    }

    /// Somebody listens at that address by now.
    pub fn heard(&self, address: SocketAddr) {
        self.in_force.send_modify(|in_force| Arc::make_mut(in_force).http.listen = Some(address));
    }

    /// The API has read a certificate by itself. It is taken in the place of that one, unless control has taken another, or
    /// other files, meanwhile.
    pub fn renew(&self, before: &Option<Arc<Certificate>>, read: Certificate) {
        // As long as this is held control changes neither.
        let in_force = self.in_force.borrow();
        if in_force.tls.as_ref() == Some(read.files()) {
            self.certificate.compare_and_swap(before, Some(Arc::new(read)));
        }
    }

    /// Tells of each change.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<Arc<InForce>> {
        self.in_force.subscribe()
    }

    /// Looks whether what a file has now can be taken, and takes nothing yet.
    ///
    /// # Errors
    /// With the key and what to do, when its certificate cannot be used.
    pub fn prepare(&self, file: &Http) -> Result<Prepared, String> {
        let (before, held) = (self.in_force(), self.certificate.load_full());
        let is_wanted = held.is_none() && before.tls == file.tls;
        let certificate = match (&file.tls, held) {
            (None, _) => Taken::Other(None),
            // It is followed already.
            (Some(files), Some(held)) if *held.files() == *files => Taken::Same,
            (Some(files), _) => match Certificate::open(files) {
                Ok(certificate) if is_wanted => Taken::Wanted(Arc::new(certificate)),
                Ok(certificate) => Taken::Other(Some(Arc::new(certificate))),
                // It could not be had at the start either, which is told and tried again: no reason to take nothing else.
                Err(_) if is_wanted => Taken::Same,
                Err(error) => return Err(format!("{error:#}")),
            },
        };
        let restart_keys = before.started_with.restart_keys(file);
        let changes = before.http.changes(&with(&before.http, file));
        Ok(Prepared { file: file.clone(), restart_keys, certificate, changes })
    }

    /// Takes what was prepared: whoever was let in by what is no more is shown out. Says what is another.
    pub fn take(&self, prepared: Prepared) -> Vec<String> {
        let Prepared { file, restart_keys, certificate, changes } = prepared;
        self.in_force.send_modify(|in_force| {
            match certificate {
                Taken::Same => {}
                Taken::Wanted(certificate) => drop(self.certificate.compare_and_swap(&NONE, Some(certificate))),
                Taken::Other(certificate) => self.certificate.store(certificate),
            }
            let (http, started_with) = (with(&in_force.http, &file), in_force.started_with.clone());
            *in_force = Arc::new(InForce { http, started_with, restart_keys });
        });
        changes
    }
}

/// What counts from a reload on as the file has it, and the rest as it is.
fn with(in_force: &Http, file: &Http) -> Http {
    let Http { tokens, reads, tls, insecure, .. } = file.clone();
    Http { tokens, reads, tls, insecure, ..in_force.clone() }
}

#[cfg(test)]
mod tests {
    use super::HttpDesk;
    use crate::certificate::Certificate;
    use relay_config::{Access, Http, Reads, Tls, Token};
    use std::fs;
    use std::sync::Arc;

    fn desk() -> (HttpDesk, Http) {
        let desk = HttpDesk::default();
        let file = Http { tokens: vec![Token::new("ops", [1; 32], Access::Write)], ..Http::default() };
        // The default address was another's, so it is not listened on.
        desk.begin(&file, &Http { listen: None, ..file.clone() }, None);
        (desk, file)
    }

    #[test]
    fn tokens_and_reads_are_taken_and_sockets_wait() {
        let (desk, file) = desk();
        let mut followed = desk.follow();
        let same = desk.prepare(&file).unwrap();
        assert_eq!(desk.take(same), [""; 0], "what was not opened is no change of the file");
        let other =
            Http { tokens: vec![], reads: Reads::Token, listen: Some(([10, 0, 0, 1], 1).into()), ..file.clone() };
        let changes = desk.take(desk.prepare(&other).unwrap());
        assert_eq!(changes, ["remove token \"ops\"", "set http.reads to \"token\""]);
        assert!(followed.has_changed().unwrap());
        let in_force = followed.borrow_and_update().clone();
        assert_eq!((in_force.reads, in_force.tokens.len(), in_force.listen), (Reads::Token, 0, None));
        assert_eq!(in_force.restart_keys, ["http.listen"]);
        assert_eq!(desk.take(desk.prepare(&other).unwrap()), [""; 0], "said once");
        assert_eq!(desk.take(desk.prepare(&file).unwrap()).len(), 2);
        assert!(desk.in_force().restart_keys.is_empty(), "put back");
    }

    /// A reload that was read and is yet to be in force undoes nothing that the API does by itself.
    #[test]
    fn what_the_api_takes_while_a_reload_is_under_way_stays() {
        let folder = std::env::temp_dir().join(format!("mcr-http-desk-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let files = Tls { certificate: folder.join("c.pem"), key: folder.join("k.pem") };
        let one = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        fs::write(&files.certificate, one.cert.pem()).unwrap();
        fs::write(&files.key, one.signing_key.serialize_pem()).unwrap();
        let (desk, file) = desk();
        let file = Http { tls: Some(files.clone()), ..file };
        // It is wanted, and then it is had; it is had, and then it is renewed.
        desk.begin(&file, &Http { listen: None, ..file.clone() }, None);
        let read = || Certificate::open(&files).unwrap();
        let mut before = None;
        for _ in 0..2 {
            let same = desk.prepare(&file).unwrap();
            desk.renew(&before, read());
            let taken = desk.certificate.load_full();
            desk.take(same);
            before = desk.certificate.load_full();
            assert!(Arc::ptr_eq(taken.as_ref().unwrap(), before.as_ref().unwrap()), "another is in use");
        }
        let (address, other) = (([127, 0, 0, 1], 9280).into(), Http { reads: Reads::Token, ..file });
        let prepared = desk.prepare(&other).unwrap();
        desk.heard(address);
        desk.take(prepared);
        let in_force = desk.in_force();
        assert_eq!((in_force.listen, in_force.reads), (Some(address), Reads::Token));
        // Nor does the API undo what a reload has taken.
        desk.take(desk.prepare(&Http { tls: None, ..other }).unwrap());
        desk.renew(&None, read());
        assert!(desk.certificate.load().is_none());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_certificate_that_cannot_be_used_changes_nothing() {
        let (desk, file) = desk();
        let tls = Tls { certificate: "/nowhere/c.pem".into(), key: "/nowhere/k.pem".into() };
        let wanted = Http { tokens: vec![], tls: Some(tls), ..file };
        let problem = desk.prepare(&wanted).unwrap_err();
        assert!(problem.starts_with("http.tls.certificate: cannot read /nowhere/c.pem"), "{problem}");
        assert_eq!(desk.in_force().tokens.len(), 1);
        // It was so at the start: what else the file says is taken.
        desk.begin(&wanted, &wanted, None);
        let more = Http { tokens: vec![Token::new("new", [2; 32], Access::Read)], ..wanted };
        assert_eq!(desk.take(desk.prepare(&more).unwrap()), ["add token \"new\""]);
    }

    #[test]
    fn what_is_lacking_is_news_once_and_its_end_too() {
        let (desk, _) = desk();
        assert!(desk.note_lack("http.tls", Some("no file".to_owned())));
        assert!(!desk.note_lack("http.tls", Some("no key".to_owned())));
        assert!(!desk.note_lack("http.socket", None));
        assert_eq!(desk.lacks().get("http.tls").map(String::as_str), Some("no key"));
        assert!(desk.note_lack("http.tls", None));
        assert!(desk.lacks().is_empty());
    }
}
