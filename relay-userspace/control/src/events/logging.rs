//! The log on standard error: lines for people, or one JSON object a line for programs. Nobody who has something to say waits
//! for whoever reads: see `writer`.
//!
//! Where standard error leads to systemd's journal, lines for people are entries with fields there: see `journald`.
//!
//! Each JSON line has `time`, `level`, `event` and `text`; an event's own fields stand beside them. A line that is no
//! event has the event `log`.

mod format; // for whom it is

pub use format::LogFormat;

use super::journald::{Entry, Journal, last_words};
use super::writer::{Lines as Queue, Put};
use anyhow::Context as _;
use format::Form;
use relay_config::time::rfc3339;
use serde_json::{Map, Value};
use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, reload};

/// What is not written by then at the end stays unwritten.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);
/// What every JSON line has.
const EVERY_LINE: [&str; 5] = ["time", "level", "event", "text", "told_at"];
/// The event of a line that is none.
const NO_EVENT: &str = "log";
/// The target of audit lines. No level leaves them out: who silences the log cannot silence what is said of that.
pub(super) const AUDIT: &str = "mcr::audit";
/// The field of a tracing event that carries all fields of one of ours.
const FIELDS: &str = "fields";
/// The field of a tracing event that says when it happened, in milliseconds since 1970, when that was before it is told.
const HAPPENED: &str = "happened_ms";

/// Lines that were not written, since this process began.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// So many lines more were not written.
pub fn count_dropped(lines: u64) {
    DROPPED.fetch_add(lines, Relaxed);
}

/// How many lines were not written, because there were too many for whoever reads them.
#[must_use]
pub fn dropped() -> u64 {
    DROPPED.load(Relaxed)
}

/// Fields as one value of a tracing event: JSON when asked for in the alternate form, else words for people.
pub(super) struct Fields<'a>(pub(super) &'a Map<String, Value>);

impl fmt::Display for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return f.write_str(&serde_json::to_string(self.0).map_err(|_| fmt::Error)?);
        }
        for (i, (name, value)) in self.0.iter().enumerate() {
            write!(f, "{}{name}={value}", if i == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

/// Changes what the log says while it runs.
#[derive(Clone, Debug)]
pub struct LogHandle {
    filter: reload::Handle<EnvFilter, Registry>,
    queue: Arc<Queue>,
    form: Form,
}

impl LogHandle {
    /// Waits until what was said is written: before this process ends or becomes another. Not for long: where nobody reads,
    /// it stays unwritten.
    pub fn flush(&self) {
        self.queue.flush(FLUSH_PATIENCE);
    }

    /// Says something that no level leaves out and that is written as it is, to standard error: the last words of a command.
    pub fn say(&self, line: &str) {
        let line = if self.form == Form::Journal { last_words(line) } else { format!("{line}\n") };
        self.queue.put(line.as_bytes());
    }

    /// Sets the level: `info`, or `warn,crate=debug`.
    ///
    /// # Errors
    /// With what is wrong and what is right, when this is no level. The old one stays.
    pub fn set(&self, level: &str) -> Result<(), String> {
        self.filter.reload(filter(level)?).map_err(|error| format!("the log is gone: {error}"))
    }

    /// The level as it is now.
    #[must_use]
    pub fn get(&self) -> String {
        let all = self.filter.with_current(ToString::to_string).unwrap_or_default();
        let asked_for = all.split(',').filter(|part| !part.starts_with(AUDIT));
        asked_for.collect::<Vec<_>>().join(",")
    }

    /// Whether this can be set.
    ///
    /// # Errors
    /// With what is wrong and what is right, when this is no level.
    pub fn check(level: &str) -> Result<(), String> {
        filter(level).map(drop)
    }
}

/// Reads a level. tracing would take a word that it does not know for the name of a module, and fall silent.
fn filter(level: &str) -> Result<EnvFilter, String> {
    let is_level = |word: &str| ["off", "error", "warn", "info", "debug", "trace"].contains(&word);
    let parts: Vec<&str> = level.split(',').map(str::trim).collect();
    for part in &parts {
        let word = part.rsplit_once('=').map_or(*part, |(_, word)| word);
        if !is_level(&word.to_ascii_lowercase()) {
            return Err(format!(
                "\"{part}\" is no log level: use off, error, warn, info, debug or trace, or MODULE=LEVEL, with commas between"
            ));
        }
    }
    // The last that is said of a target counts.
    let with_audit = format!("{},{AUDIT}=trace", parts.join(","));
    EnvFilter::builder().parse(with_audit).map_err(|error| format!("\"{level}\" is no log level: {error}"))
}

/// Starts the log of this process, at the level of the variable `MCR_LOG` or else at `default`. A level that is none
/// is said in the log, which then has the default.
///
/// # Errors
/// When the system has no thread for it.
pub fn start(format: LogFormat, default: &str) -> anyhow::Result<LogHandle> {
    let asked = std::env::var("MCR_LOG").ok();
    let (chosen, problem) = match asked.as_deref().map(filter) {
        Some(Ok(filter)) => (filter, None),
        Some(Err(problem)) => (default_filter(default), Some(problem)),
        None => (default_filter(default), None),
    };
    let ansi = format == LogFormat::Text && io::stderr().is_terminal();
    let queue = Arc::new(Queue::default());
    // Who asks for JSON has a program that reads it.
    let journal = if format == LogFormat::Text { Journal::of_stderr() } else { None };
    let form = if journal.is_some() { Form::Journal } else { format.into() };
    let (subscriber, filter) = subscriber(form, ansi, chosen, Put(Arc::clone(&queue)));
    subscriber.init();
    let handle = LogHandle { filter, queue, form };
    let told = move |lines| missing(form, lines);
    let written = match journal {
        Some(journal) => handle.queue.write_to(journal, told),
        None => handle.queue.write_to(io::stderr(), told),
    };
    written.context("no thread for the log")?;
    let of_panics = handle.clone();
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        let (name, backtrace) = (thread.name().unwrap_or("?").to_owned(), Backtrace::capture());
        let backtrace =
            if backtrace.status() == BacktraceStatus::Captured { format!("\n{backtrace}") } else { String::new() };
        tracing::error!("this is a defect, please report it: thread '{name}' {panic}{backtrace}");
        // It may be the end.
        of_panics.flush();
    }));
    if let Some(problem) = problem {
        tracing::warn!("MCR_LOG: {problem}");
    }
    Ok(handle)
}

/// A line that says how many are missing in its place.
fn missing(form: Form, lines: u64) -> String {
    let text = "lines are missing here: whoever reads this log was too slow";
    let mut line = Line { form, text: text.to_owned(), ..Line::default() };
    line.fields.insert("missing".to_owned(), lines.into());
    line.words = format!(" missing={lines}");
    let (mut said, time) = (String::new(), rfc3339(relay_engine::clock::unix_ms()));
    let mut writer = Writer::new(&mut said);
    // Writing to a String cannot fail.
    let _ = line.write(&mut writer, &time, None, Level::WARN);
    said
}

/// The filter of a level of ours.
fn default_filter(level: &str) -> EnvFilter {
    filter(level).unwrap_or_else(|_| EnvFilter::new(level))
}

fn subscriber<W>(
    form: Form,
    ansi: bool,
    chosen: EnvFilter,
    writer: W,
) -> (impl Subscriber + Send + Sync + for<'a> LookupSpan<'a>, reload::Handle<EnvFilter, Registry>)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(chosen);
    let lines = tracing_subscriber::fmt::layer().with_ansi(ansi).with_writer(writer).event_format(Lines { form });
    (tracing_subscriber::registry().with(filter).with(lines), handle)
}

/// How a line looks.
struct Lines {
    form: Form,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = Line { form: self.form, ..Line::default() };
        event.record(&mut line);
        let now = rfc3339(relay_engine::clock::unix_ms());
        let level = *event.metadata().level();
        // The moment at which it happened, and that at which it is told, where they differ.
        let (time, told_at) =
            line.happened.map_or_else(|| (now.clone(), None), |then| (rfc3339(then), Some(now.as_str())));
        line.write(&mut writer, &time, told_at, level)
    }
}

/// What stands on a line.
#[derive(Debug, Default)]
struct Line {
    form: Form,
    text: String,
    event: Option<String>,
    /// See [`HAPPENED`].
    happened: Option<u64>,
    /// For programs.
    fields: Map<String, Value>,
    /// For people.
    words: String,
}

impl Line {
    fn write(self, writer: &mut Writer<'_>, time: &str, told_at: Option<&str>, level: Level) -> fmt::Result {
        match self.form {
            Form::Json => self.write_json(writer, time, told_at, level),
            Form::Text => self.write_text(writer, time, told_at, level),
            Form::Journal => self.write_entry(writer, level),
        }
    }

    /// The journal has the time and the level by itself.
    fn write_entry(self, writer: &mut Writer<'_>, level: Level) -> fmt::Result {
        let event = self.event.as_ref().map_or_else(String::new, |event| format!(" event={event}"));
        let mut entry = Entry::new(level, &format!("{}{event}{}", self.text, self.words));
        if let Some(event) = &self.event {
            entry.event(event, self.happened);
        }
        entry.fields(&self.fields);
        writer.write_str(entry.text())
    }

    fn write_json(self, writer: &mut Writer<'_>, time: &str, told_at: Option<&str>, level: Level) -> fmt::Result {
        let [level, event, text] =
            [level.as_str().to_ascii_lowercase(), self.event.unwrap_or_else(|| NO_EVENT.to_owned()), self.text]
                .map(Value::from);
        write!(writer, "{{\"time\":\"{time}\",\"level\":{level},\"event\":{event},\"text\":{text}")?;
        if let Some(told_at) = told_at {
            write!(writer, ",\"told_at\":\"{told_at}\"")?;
        }
        for (name, value) in &self.fields {
            // What every line has means the same on every line.
            if !EVERY_LINE.contains(&name.as_str()) {
                write!(writer, ",{}:{value}", Value::from(name.as_str()))?;
            }
        }
        writeln!(writer, "}}")
    }

    fn write_text(self, writer: &mut Writer<'_>, time: &str, told_at: Option<&str>, level: Level) -> fmt::Result {
        let colour = match level {
            Level::ERROR => "31",
            Level::WARN => "33",
            Level::INFO => "32",
            _ => "34",
        };
        let (on, off) =
            if writer.has_ansi_escapes() { (format!("\x1b[{colour}m"), "\x1b[0m") } else { (String::new(), "") };
        write!(writer, "{time} {on}{level:>5}{off} {}", self.text)?;
        if let Some(event) = self.event {
            write!(writer, " event={event}")?;
        }
        if let Some(told_at) = told_at {
            write!(writer, " told_at={told_at}")?;
        }
        writeln!(writer, "{}", self.words)
    }

    /// A field that is in no line for people, or stands there already.
    fn put_field(&mut self, field: &Field, text: String) {
        match field.name() {
            "event" => self.event = Some(text),
            name => _ = self.fields.insert(name.to_owned(), text.into()),
        }
    }

    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        let value = value.into();
        match field.name() {
            "message" => self.text = value.as_str().map_or_else(|| value.to_string(), str::to_owned),
            "event" => self.event = value.as_str().map(str::to_owned),
            HAPPENED => self.happened = value.as_u64(),
            // The bridge from the crate `log` tells where its record comes from.
            name if name.starts_with("log.") => {}
            name => {
                if self.form != Form::Json {
                    let _ = write!(self.words, " {name}={value}"); // Writing to a String cannot fail.
                }
                if self.form != Form::Text {
                    self.fields.insert(name.to_owned(), value);
                }
            }
        }
    }
}

impl Visit for Line {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            FIELDS => {
                if self.form != Form::Json {
                    let _ = write!(self.words, " {value:?}");
                }
                if self.form != Form::Text
                    && let Ok(Value::Object(fields)) = serde_json::from_str(&format!("{value:#?}"))
                {
                    self.fields.extend(fields);
                }
            }
            // What Display or Debug gave is words already: quotes would only be in the way of people.
            "message" => self.text = format!("{value:?}"),
            name if name.starts_with("log.") => {}
            name => {
                if self.form != Form::Json {
                    let _ = write!(self.words, " {name}={value:?}");
                }
                if self.form != Form::Text {
                    self.put_field(field, format!("{value:?}"));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
