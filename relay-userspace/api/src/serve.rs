//! What the API shows of a running node: the one place where control's view, what lanes count and what the kernel says
//! come together for whoever looks.

use crate::{Counts, Server, Sight};
use anyhow::Context as _;
use relay_config::model;
use relay_config::{Configuration, Errors, Http};
use relay_control::bpf::verdicts::VerdictReader;
use relay_control::capture::{Captured, Pieces};
use relay_control::desk::Desk;
use relay_control::events::logging::LogHandle;
use relay_control::handover::{Begins, Listening};
use relay_control::node::Node;
use relay_control::observe::health::Minimum;
use relay_control::observe::metrics::{self, Family};
use relay_control::observe::{self, Rates, capture, why};
use relay_control::rights;
use relay_engine::clock::now_ns;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// How often the counters are looked at for rates.
const RATES: Duration = Duration::from_secs(1);

/// Starts to answer, at the sockets that the control before this one has given as far as they are the right ones. Dropping what is returned ends it.
///
/// # Errors
/// When the API cannot be opened, with the key and what to do.
pub fn start(
    configuration: &Configuration,
    desk: Desk,
    node: &mut Node,
    log: &LogHandle,
    run_dir: &Path,
    (given, begins): (Option<&Listening>, Begins),
) -> anyhow::Result<Server> {
    let (mut http, default) = (configuration.settings.http.clone(), Http::default());
    if http.socket == default.socket {
        http.socket = run_dir.join("mcr.sock");
    }
    let verdicts = node.program_mut().verdict_reader()?;
    let rates = Arc::new(Rates::default());
    let (alive, ended) = mpsc::channel();
    let sight: Arc<dyn Sight> = Arc::new(Eyes {
        desk: desk.clone(),
        rates: Arc::clone(&rates),
        verdicts: Arc::new(verdicts),
        log: log.clone(),
        captures: capture::Captures::default(),
        _alive: alive,
    });
    let opened = crate::open(&http, given, begins)?;
    rights::keep_what_is_needed(&http)?;
    let (looks, at) = (desk.clone(), rates);
    std::thread::Builder::new()
        .name("mcr-rates".to_owned())
        .spawn(move || follow_rates(&looks, &at, &ended))
        .context("no thread for rates")?;
    crate::start(opened, &configuration.settings.http, &http, desk, sight)
}

/// Rates are made of two looks; the looking ends with the API. It is a thread of its own: a look at a large node takes
/// milliseconds, and a change seconds.
fn follow_rates(desk: &Desk, rates: &Rates, ended: &mpsc::Receiver<()>) {
    loop {
        rates.look(&desk.view(), now_ns());
        if !matches!(ended.recv_timeout(RATES), Err(mpsc::RecvTimeoutError::Timeout)) {
            return;
        }
    }
}

struct Eyes {
    desk: Desk,
    rates: Arc<Rates>,
    verdicts: Arc<VerdictReader>,
    log: LogHandle,
    captures: capture::Captures,
    /// Rates are followed as long as this lives.
    _alive: mpsc::Sender<()>,
}

impl Sight for Eyes {
    fn live(&self) -> model::Health {
        observe::live(&self.desk, now_ns())
    }

    fn health(&self, minimum: Option<&Minimum>) -> model::Health {
        observe::health(&self.desk, minimum, now_ns())
    }

    fn ready(&self, minimum: Option<&Minimum>) -> model::Health {
        observe::ready(&self.desk, minimum, now_ns())
    }

    fn status(&self) -> model::Status {
        observe::status(&self.desk, now_ns())
    }

    fn diff(&self) -> Result<model::Diff, Errors> {
        observe::diff(&self.desk)
    }

    fn relays(&self) -> model::Relays {
        observe::relays(&self.desk, &self.rates, now_ns())
    }

    fn relay(&self, name: &str) -> Option<model::Relay> {
        observe::relay(&self.desk, &self.rates, name, now_ns())
    }

    fn links(&self) -> Vec<model::Link> {
        observe::links(&self.desk)
    }

    fn metrics(
        &self,
        openmetrics: bool,
        families: &[&'static Family],
        http: &Counts,
        to: &mut dyn Write,
    ) -> io::Result<()> {
        let verdicts = Arc::clone(&self.verdicts);
        let read: metrics::Verdicts = Arc::new(move || verdicts.read().unwrap_or_default());
        let sources = metrics::Sources { verdicts: read, requests: Arc::clone(&http.requests) };
        let format = if openmetrics { metrics::Format::OpenMetrics } else { metrics::Format::Text };
        metrics::write(&self.desk, &sources, families, format, now_ns(), to)
    }

    fn why(&self, name: &str) -> Option<std::pin::Pin<Box<dyn Future<Output = model::Why> + Send>>> {
        let view = self.desk.view();
        let verdicts = Arc::clone(&self.verdicts);
        let findings = self.desk.pulse.found.load_full();
        let known = why::known(&view, &findings, name, now_ns())?;
        let name = name.to_owned();
        let warnings = observe::warnings_of(&view.plan.relays, &name);
        Some(Box::pin(async move {
            let count = || why::counts(&view, &name, verdicts.read().unwrap_or_default(), now_ns());
            let mut why = why::walk(&name, known, count).await;
            why.warnings.extend(warnings);
            why
        }))
    }

    fn capture(&self, name: &str, asked: Captured) -> Option<Result<Pieces, &'static str>> {
        self.captures.begin(&self.desk, name, asked)
    }

    fn log(&self) -> model::Log {
        model::Log { level: self.log.get() }
    }

    fn check_log(&self, log: &model::Log) -> Result<(), String> {
        LogHandle::check(&log.level)
    }

    fn set_log(&self, log: &model::Log) -> Result<(), String> {
        self.log.set(&log.level)
    }
}
