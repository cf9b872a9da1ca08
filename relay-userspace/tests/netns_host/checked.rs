//! `mcr check` is right: what it calls an error keeps `mcr run` from starting, what it warns of is what `mcr run` goes without,
//! and it says both in the same words. Each class of refusal is a line of a table.

use crate::line::{Folder, Line, ONE};
use bench::relay::binary;
use bench::{Namespace, Process};
use std::fs;
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// What of the machine and the file is not as it should be.
struct Case {
    /// Stands before the simplest relay; FOLDER is the folder of this case.
    head: &'static str,
    /// What both run behind.
    wrapper: &'static [&'static str],
    /// What is done before.
    prepare: fn(&Folder),
    /// What `mcr check` says.
    check: &'static str,
    /// What `mcr run` says.
    run: &'static str,
}

const fn case(head: &'static str, says: &'static str) -> Case {
    Case { head, wrapper: &[], prepare: |_| {}, check: says, run: says }
}

/// Those that `mcr run` does not start with.
const REFUSED: [Case; 8] = [
    case("[lanes]\ncores = [999]", "lanes.cores names core 999, which this machine does not have"),
    case("[lanes]\nframes = 64", "lanes.frames = 64 is too few"),
    case(
        "[lanes]\nframes = 16777216\nframe_size = 4096",
        "the frames of one lane take 65536 MiB, and this machine has",
    ),
    case("[[interface]]\nname = \"in0\"\nzero_copy = \"always\"", "in0 queue 0 cannot do zero-copy"),
    case("[lanes]\nuser = \"mcr-no-such-user\"", "there is no user \"mcr-no-such-user\" on this machine"),
    Case {
        wrapper: &["prlimit", "--memlock=65536", "setpriv", "--bounding-set", "-ipc_lock"],
        ..case("", "cannot lock 50 MiB of frames")
    },
    Case {
        prepare: |folder| fs::write(folder.file("thing"), "").unwrap(),
        ..case("[http]\nsocket = \"FOLDER/thing\"", "FOLDER/thing is there and is no socket")
    },
    Case {
        prepare: |folder| fs::write(folder.file("thing"), "").unwrap(),
        check: "FOLDER/thing is no folder",
        ..case(
            "[http]\nsocket = \"FOLDER/thing/mcr.sock\"",
            "http.socket: cannot make the folder of FOLDER/thing/mcr.sock",
        )
    },
];

/// Those that it starts with, and goes without something.
const WITHOUT: [Case; 7] = [
    case("[http]\nlisten = \"127.0.0.1:9281\"", "http.listen: cannot listen on 127.0.0.1:9281"),
    case("[http]\nlisten = \"10.99.0.1:9281\"\ninsecure = true", "http.listen: cannot listen on 10.99.0.1:9281"),
    case("[http]\nsocket_group = \"mcr-no-such-group\"", "there is no group \"mcr-no-such-group\""),
    case(
        "[http]\ntls = { certificate = \"FOLDER/c.pem\", key = \"FOLDER/k.pem\" }",
        "http.tls.certificate: cannot read FOLDER/c.pem",
    ),
    Case {
        prepare: |folder| fs::create_dir(folder.file("thing")).unwrap(),
        ..case("[state]\nfile = \"FOLDER/thing\"", "the state file cannot be read")
    },
    Case {
        prepare: |folder| fs::write(folder.file("thing"), "").unwrap(),
        check: "would not be kept in FOLDER/thing/relays.toml",
        run: "event=state.unwritable",
        ..case("[state]\nfile = \"FOLDER/thing/relays.toml\"", "")
    },
    Case {
        prepare: |folder| fs::write(folder.file("relays.toml"), ONE.replace("239.1.1.1", "239.1.1.9")).unwrap(),
        check: "a relay of the API would not run: ",
        run: "relay \"one\" came through the API and does not run",
        ..case("", "")
    },
];

/// A case in a folder of its own.
struct Set<'a> {
    case: &'a Case,
    folder: Folder,
}

impl<'a> Set<'a> {
    fn new(case: &'a Case) -> Self {
        let folder = Folder::new("checked");
        (case.prepare)(&folder);
        let set = Self { case, folder };
        fs::write(set.folder.file("relay.toml"), format!("{}\n{ONE}", set.named(case.head))).unwrap();
        set
    }

    fn named(&self, text: &str) -> String {
        text.replace("FOLDER", &self.folder.path().display().to_string())
    }

    fn command(&self, namespace: &Namespace, what: &str) -> Command {
        let mut command = namespace.command("env");
        command.args(self.case.wrapper).arg(binary()).arg(what);
        command.arg("--run-dir").arg(self.folder.path()).arg("--state-dir").arg(self.folder.path());
        command
    }

    /// What `mcr check` says, and whether it calls the file good.
    fn check(&self, namespace: &Namespace, strict: bool) -> (bool, String) {
        let mut command = self.command(namespace, "check");
        command.args(strict.then_some("--strict")).arg(self.folder.file("relay.toml"));
        let said = command.output().unwrap();
        (said.status.success(), String::from_utf8(said.stdout).unwrap() + &String::from_utf8(said.stderr).unwrap())
    }

    fn run(&self, namespace: &Namespace) -> Process {
        let mut command = self.command(namespace, "run");
        command.arg("--config").arg(self.folder.file("relay.toml"));
        Process::start("mcr", command).unwrap()
    }
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_check_calls_an_error_run_refuses_in_the_same_words() {
    let line = Line::new();
    for case in &REFUSED {
        let set = Set::new(case);
        let (good, said) = set.check(&line.relay, false);
        assert!(!good && said.contains(&set.named(case.check)), "{}: {said}", case.head);
        let mut mcr = set.run(&line.relay);
        let status = mcr.wait(PATIENCE).unwrap();
        let said = mcr.lines().join("\n");
        assert!(!status.success() && said.contains(&set.named(case.run)), "{}: {said}", case.head);
    }
}

#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_check_warns_of_run_goes_without() {
    let line = Line::new();
    let _taken = line.relay.run(|| std::net::TcpListener::bind("127.0.0.1:9281")).unwrap();
    for case in &WITHOUT {
        let set = Set::new(case);
        let (good, said) = set.check(&line.relay, false);
        assert!(good && said.contains(": warning: ") && said.contains(&set.named(case.check)), "{said}");
        assert!(!set.check(&line.relay, true).0, "{}: a warning is no error with --strict", case.head);
        let mut mcr = set.run(&line.relay);
        mcr.wait_for(" ready relays=1", PATIENCE).unwrap();
        let mut health = Command::new(binary());
        health.env("MCR_SOCKET", set.folder.file("mcr.sock")).args(["health", "--timeout", "10s"]);
        let health = health.output().unwrap();
        let told = mcr.lines().join("\n") + &String::from_utf8(health.stdout).unwrap();
        assert!(health.status.success() && told.contains(&set.named(case.run)), "{}: {told}", case.head);
        mcr.stop(PATIENCE).unwrap();
    }
}

/// What mcr itself has here is no trouble: a file is checked beside the node that runs it.
#[test]
#[ignore = "needs root: cargo xtask test netns"]
fn what_the_mcr_that_runs_has_is_no_trouble() {
    let line = Line::new();
    let case = case("[http]\nlisten = \"127.0.0.1:9281\"", "");
    let set = Set::new(&case);
    assert!(set.check(&line.relay, true).0);
    let mut mcr = set.run(&line.relay);
    mcr.wait_for(" ready relays=1", PATIENCE).unwrap();
    let (good, said) = set.check(&line.relay, true);
    assert!(good, "{said}");
    mcr.stop(PATIENCE).unwrap();
}
