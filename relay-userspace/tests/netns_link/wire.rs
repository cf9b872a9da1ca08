//! Two namespaces and a veth pair between them.

use std::fs::File;
use std::future::Future;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The relay's end is `in0` in `near`, the other is `out0` in `far`. Both namespaces go with it.
pub(crate) struct Wire {
    pub(crate) near: String,
    pub(crate) far: String,
}

impl Wire {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("mcrlink-{}-{number}", std::process::id());
        let wire = Self { near: format!("{prefix}-near"), far: format!("{prefix}-far") };
        ip(&["netns", "add", &wire.near]);
        ip(&["netns", "add", &wire.far]);
        wire.plug();
        wire
    }

    /// Makes the pair, both ends up and with addresses.
    pub(crate) fn plug(&self) {
        let peer = ["peer", "name", "out0", "numrxqueues", "2", "numtxqueues", "2", "netns", &self.far];
        let mut words = vec!["link", "add", "in0", "numrxqueues", "4", "numtxqueues", "4", "netns", &self.near];
        words.extend(["type", "veth"]);
        words.extend(peer);
        ip(&words);
        for (namespace, link, last) in [(&self.near, "in0", 1), (&self.far, "out0", 2)] {
            ip(&["-n", namespace, "address", "add", &format!("198.51.100.{last}/24"), "dev", link]);
            ip(&["-n", namespace, "address", "add", &format!("2001:db8::{last}/64"), "dev", link, "nodad"]);
            ip(&["-n", namespace, "link", "set", link, "up"]);
        }
    }

    pub(crate) fn near_ip(&self, words: &[&str]) -> String {
        ip(&[&["-n", self.near.as_str()], words].concat())
    }

    pub(crate) fn far_ip(&self, words: &[&str]) -> String {
        ip(&[&["-n", self.far.as_str()], words].concat())
    }

    /// The index of the relay's end.
    pub(crate) fn ifindex(&self) -> u32 {
        self.near_ip(&["-o", "link", "show", "in0"]).split(':').next().unwrap().parse().unwrap()
    }

    /// Runs a future in a thread that stands in the namespace `near`.
    pub(crate) fn inside<T: Send>(&self, future: impl Future<Output = T> + Send) -> T {
        let namespace = File::open(format!("/run/netns/{}", self.near)).unwrap();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for namespace in [&self.near, &self.far] {
            // Both must be tried, whatever became of the first.
            let removed = Command::new("ip").args(["netns", "delete", namespace]).status();
            if !removed.is_ok_and(|status| status.success()) {
                eprintln!("the namespace {namespace} is left over");
            }
        }
    }
}

pub(crate) fn ip(words: &[&str]) -> String {
    let output = Command::new("ip").args(words).output().unwrap();
    assert!(output.status.success(), "ip {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Fails when something does not come within ten seconds.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(10), future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within ten seconds"),
    }
}
