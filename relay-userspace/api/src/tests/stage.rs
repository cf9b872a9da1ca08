//! A desk, a control, a sight and the API before them, and clients at both of its doors.

use super::client::{Answer, Client};
use super::control::{self, Control};
use crate::limits::{Counts, Limits};
use crate::server::{Server, open, start_within};
use crate::sight::Sight;
use relay_common::health::Share;
use relay_common::plan;
use relay_config::model::{Check, Config, Diff, Event, Health, Link, Log, Relay, RelayStatus, Relays, Status, Why};
use relay_config::{Access, Errors, Http, Token, parse, relay_to_json};
use relay_control::desk::Desk;
use relay_control::handover::Begins;
use relay_control::handover::Handover;
use relay_control::http::HttpDesk;
use relay_control::observe;
use relay_control::observe::health::Minimum;
use relay_control::observe::metrics::Family;
use relay_control::tag;
use relay_control::view::{Origin, View};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// The token of the stage.
pub(super) const TOKEN: &str = "open sesame";
/// The same, as it is sent.
pub(super) const BEARER: (&str, &str) = ("authorization", "Bearer open sesame");

/// Everything that a test needs. It ends when it is dropped.
pub(super) struct Stage {
    pub(super) unix: Client,
    pub(super) tcp: Client,
    pub(super) desk: Desk,
    pub(super) control: Arc<Mutex<Control>>,
    pub(super) sight: Arc<FakeSight>,
    pub(super) server: Option<Server>,
    pub(super) http: Http,
    folder: PathBuf,
}

impl Stage {
    /// The usual stage: a file with a range of two relays, one token.
    pub(super) fn new() -> Self {
        Self::within(Limits { wrong_token: std::time::Duration::from_millis(20), ..Limits::default() })
    }

    pub(super) fn within(limits: Limits) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        let folder = std::env::temp_dir().join(format!("mcr-api-{}-{number}", std::process::id()));
        let file = "[[relay]]\nname = 'file'\ninput = { interface = 'in0', group = '239.9.1.0-1', port = 5000 }\n\
             outputs = [{ interface = 'out0', group = '239.9.2.0-1', port = 5001 }]";
        let (desk, control) = control::open(parse("file", file).unwrap().plan.relays);
        let sight = Arc::new(FakeSight {
            desk: desk.clone(),
            well: AtomicBool::new(true),
            log: Mutex::default(),
            is_endless: AtomicBool::default(),
            endless: Mutex::default(),
            scrapes: AtomicU32::default(),
            noise: AtomicUsize::default(),
            reads: AtomicU32::default(),
            hangs: AtomicBool::default(),
        });
        let token = Token::new("ops", Sha256::digest(TOKEN).into(), Access::Write);
        let http = Http {
            listen: Some("127.0.0.1:0".parse().unwrap()),
            socket: folder.join("mcr.sock"),
            tokens: vec![token],
            ..Http::default()
        };
        let server = start_within(
            limits,
            open(&http, None, Begins::Anew).unwrap(),
            (&http, &http),
            desk.clone(),
            Arc::<FakeSight>::clone(&sight),
        )
        .unwrap();
        let (unix, tcp) = (Client::Unix(http.socket.clone()), Client::Tcp(server.tcp().unwrap()));
        Self { unix, tcp, desk, control, sight, server: Some(server), http, folder }
    }

    /// Starts another API on the same desk, with rules of its own.
    pub(super) fn start_another(&self, http: &Http) -> anyhow::Result<Server> {
        let mut desk = self.desk.clone();
        (desk.http, desk.handover) = (HttpDesk::default(), Handover::default());
        let opened = open(http, None, Begins::InCharge)?;
        start_within(Limits::default(), opened, (http, http), desk, Arc::<FakeSight>::clone(&self.sight))
    }

    /// Takes another `[http]`, as control does at a reload.
    pub(super) fn take(&self, http: &Http) {
        self.desk.http.take(self.desk.http.prepare(http).unwrap());
    }

    /// Takes other tokens.
    pub(super) fn take_tokens(&self, tokens: Vec<Token>) {
        self.take(&Http { tokens, ..self.http.clone() });
    }

    /// Everything that was told.
    pub(super) fn told(&self) -> Vec<Event> {
        let told = self.desk.events.follow(None).since;
        told.iter().map(|logged| serde_json::from_str(&logged.json).unwrap()).collect()
    }

    pub(super) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// Makes a relay by the Unix socket, and gives its tag.
    pub(super) async fn make(&self, name: &str) -> String {
        let answer = self.unix.ask("POST", "/api/v1/relays", &relay(name).to_string()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.header("etag").to_owned()
    }

    pub(super) async fn list(&self) -> (Answer, Vec<String>) {
        let answer = self.unix.get("/api/v1/relays").await;
        assert_eq!(answer.status, 200);
        let relays: Relays = serde_json::from_slice(&answer.body).unwrap();
        let name = |relay: &Relay| relay.definition["name"].as_str().unwrap().to_owned();
        let names = relays.relays.iter().map(name).collect();
        (answer, names)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.server = None;
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A relay whose groups are made of its name.
pub(super) fn relay(name: &str) -> Value {
    let [a, b, ..] = <[u8; 32]>::from(Sha256::digest(name));
    json!({
        "name": name,
        "input": { "interface": "in0", "group": format!("239.1.{a}.{b}"), "port": 5000 },
        "outputs": [{ "interface": "out0", "group": format!("239.2.{a}.{b}"), "port": 5001 }],
    })
}

/// Shows what the desk shows.
pub(super) struct FakeSight {
    desk: Desk,
    pub(super) well: AtomicBool,
    log: Mutex<String>,
    /// Whether captures go on for ever.
    pub(super) is_endless: AtomicBool,
    endless: Mutex<Vec<tokio::sync::mpsc::Sender<std::io::Result<Vec<u8>>>>>,
    /// How often the numbers were written.
    pub(super) scrapes: AtomicU32,
    /// So many bytes of noise are among them.
    pub(super) noise: AtomicUsize,
    /// How often the configuration file was read.
    pub(super) reads: AtomicU32,
    /// Whether the disk that has it hangs.
    pub(super) hangs: AtomicBool,
}

/// Letters that no compression makes much shorter.
fn noise(n: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let letter = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b'!' + (state >> 26) as u8
    };
    (0..n).map(letter).collect()
}

impl FakeSight {
    fn verdict(&self, name: &str, minimum: Option<&Minimum>) -> Health {
        let ok = self.well.load(Relaxed);
        let text = if ok { String::new() } else { format!("{name}: broken") };
        let status = if ok { "ok" } else { "failing" }.to_owned();
        let verdict = Some("fault".to_owned());
        let asked = minimum.map(|minimum| Check {
            name: format!("{}>={:?}", minimum.relays.names.join("+"), minimum.min.map(Share::percent)),
            verdict: Some("partial".to_owned()),
            ok: false,
            text: "asked".to_owned(),
        });
        let check = Check { name: name.to_owned(), verdict, ok, text };
        Health {
            status,
            verdicts: Vec::new(),
            partial: None,
            away_s: None,
            checks: std::iter::once(check).chain(asked).collect(),
        }
    }
}

fn shown(view: &View, relay: &plan::Relay) -> Relay {
    let Value::Object(definition) = relay_to_json(relay) else { panic!("no object") };
    let status = RelayStatus { state: "running".to_owned(), ..RelayStatus::default() };
    Relay {
        definition,
        origin: view.origins.get(&relay.name).unwrap().name().to_owned(),
        tag: tag::of_relay(relay),
        status,
    }
}

impl Sight for FakeSight {
    fn live(&self) -> Health {
        self.verdict("control", None)
    }

    fn health(&self, minimum: Option<&Minimum>) -> Health {
        self.verdict("lanes", minimum)
    }

    fn ready(&self, minimum: Option<&Minimum>) -> Health {
        self.verdict("pending", minimum)
    }

    fn status(&self) -> Status {
        let view = self.desk.view();
        Status {
            version: "0".to_owned(),
            pid: std::process::id(),
            uptime_s: 1.0,
            started_ns: 1,
            role: "standalone".to_owned(),
            generation: view.table.generation,
            health: self.health(None),
            ready: self.ready(None),
            not_kept: None,
            http: Default::default(),
            config: Config {
                file: view.config.path.display().to_string(),
                in_force: true,
                error: None,
                differs: None,
                not_in_effect: Vec::new(),
                on_trial: None,
                last_good: None,
            },
            doing: None,
            longest_turn_s: 0.0,
            went_back: None,
            relays: BTreeMap::new(),
            pending: Vec::new(),
            lanes: Vec::new(),
            user: "mcr".to_owned(),
            rights: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn diff(&self) -> Result<Diff, Errors> {
        self.reads.fetch_add(1, Relaxed);
        while self.hangs.load(Relaxed) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        observe::diff(&self.desk)
    }

    fn relays(&self) -> Relays {
        let view = self.desk.view();
        let of_api = view.plan.relays.iter().filter(|relay| view.origins.get(&relay.name) == Some(Origin::Api));
        let tag = tag::of_relays(of_api);
        Relays { tag, relays: view.plan.relays.iter().map(|relay| shown(&view, relay)).collect() }
    }

    fn relay(&self, name: &str) -> Option<Relay> {
        let view = self.desk.view();
        view.plan.relays.iter().find(|relay| relay.name == name).map(|relay| shown(&view, relay))
    }

    fn links(&self) -> Vec<Link> {
        Vec::new()
    }

    fn capture(
        &self,
        name: &str,
        _asked: relay_control::capture::Captured,
    ) -> Option<Result<relay_control::capture::Pieces, &'static str>> {
        self.relay(name)?;
        let (pieces, taken) = tokio::sync::mpsc::channel(1);
        pieces.try_send(Ok(b"pcapng".to_vec())).ok()?;
        if self.is_endless.load(Relaxed) {
            self.endless.lock().unwrap().push(pieces);
        }
        Some(Ok(taken))
    }

    fn why(&self, name: &str) -> Option<std::pin::Pin<Box<dyn Future<Output = Why> + Send>>> {
        let relay = self.relay(name)?.definition["name"].as_str()?.to_owned();
        let why = Why { relay, verdict: "flows".to_owned(), steps: Vec::new(), warnings: Vec::new() };
        Some(Box::pin(async { why }))
    }

    fn metrics(
        &self,
        openmetrics: bool,
        families: &[&'static Family],
        http: &Counts,
        to: &mut dyn Write,
    ) -> io::Result<()> {
        self.scrapes.fetch_add(1, Relaxed);
        writeln!(to, "# {} families", families.len())?;
        for (class, n) in http.answers() {
            writeln!(to, "mcr_http_answers_total{{class=\"{class}\"}} {n}")?;
        }
        to.write_all(&noise(self.noise.load(Relaxed)))?;
        to.write_all(if openmetrics { b"# EOF\n" } else { b"" })
    }

    fn log(&self) -> Log {
        Log { level: self.log.lock().unwrap().clone() }
    }

    fn check_log(&self, log: &Log) -> Result<(), String> {
        if log.level == "loud" { Err("\"loud\" is no log level: use info".to_owned()) } else { Ok(()) }
    }

    fn set_log(&self, log: &Log) -> Result<(), String> {
        log.level.clone_into(&mut self.log.lock().unwrap());
        Ok(())
    }
}
