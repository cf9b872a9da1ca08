//! The two text formats: Prometheus' own (0.0.4) and OpenMetrics 1.0. They differ in how a counter's family is called,
//! in one more type, and in the last line.

use super::family::Type;
use std::fmt::Write as _;
use std::io;

/// So many bytes are handed on at once.
const PIECE: usize = 32 << 10;

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format.
    Text,
    /// OpenMetrics.
    OpenMetrics,
}

impl Format {
    /// What whoever asks likes best, by the header Accept. OpenMetrics must be asked for by name.
    #[must_use]
    pub fn accepted(accept: Option<&str>) -> Self {
        let best = |wanted: &str| {
            let ranges = accept.unwrap_or_default().split(',');
            ranges.filter_map(|range| quality(range, wanted)).fold(0.0, f64::max)
        };
        let open_metrics = best("application/openmetrics-text");
        if open_metrics > 0.0 && open_metrics >= best("text/plain") { Self::OpenMetrics } else { Self::Text }
    }

    /// The header Content-Type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// How much a range of the header Accept wants a type; nothing when it is of another.
fn quality(range: &str, wanted: &str) -> Option<f64> {
    let mut parts = range.split(';').map(str::trim);
    let is_wanted = parts.next()?.eq_ignore_ascii_case(wanted);
    let q = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse().ok());
    q.filter(|_| is_wanted)
}

/// A number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    /// A count.
    Count(u64),
    /// Anything else, in base units.
    Real(f64),
}

impl Value {
    /// Nanoseconds as seconds.
    pub(super) const fn seconds(ns: u64) -> Self {
        Self::Real(ns as f64 / 1e9)
    }
}

impl From<bool> for Value {
    fn from(is: bool) -> Self {
        Self::Count(is.into())
    }
}

/// The text in the making. It is handed on piece by piece: that of a large node is two hundred megabytes.
pub(super) struct Exposition<'a> {
    format: Format,
    out: String,
    to: &'a mut dyn io::Write,
    /// What went wrong first; nothing is written after that.
    failed: Option<io::Error>,
    /// The name that the samples of the present family have.
    name: String,
}

impl<'a> Exposition<'a> {
    pub(super) fn new(format: Format, to: &'a mut dyn io::Write) -> Self {
        Self { format, out: String::new(), to, failed: None, name: String::new() }
    }

    /// Begins a family: what it is and what it means.
    pub(super) fn begin(&mut self, name: &str, kind: Type, help: &str) {
        let (suffix, word) = match (kind, self.format) {
            (Type::Counter, _) => ("_total", "counter"),
            (Type::Gauge, _) => ("", "gauge"),
            (Type::Histogram, _) => ("", "histogram"),
            (Type::Info, Format::Text) => ("_info", "gauge"),
            (Type::Info, Format::OpenMetrics) => ("_info", "info"),
        };
        // OpenMetrics calls the family by its bare name, Prometheus as its samples.
        let family_suffix = if self.format == Format::Text { suffix } else { "" };
        self.put(format_args!("# HELP {name}{family_suffix} {}\n", escape_help(help)));
        self.put(format_args!("# TYPE {name}{family_suffix} {word}\n"));
        self.name.clear();
        self.name.push_str(name);
        self.name.push_str(suffix);
    }

    /// One sample. Labels are written out already: `relay="ch1"`.
    pub(super) fn sample(&mut self, labels: &str, value: Value) {
        self.line("", labels, "", value);
    }

    /// One sample with one more label, whose value needs no escaping.
    pub(super) fn sample_by(&mut self, labels: &str, name: &str, label: &str, value: Value) {
        let comma = if labels.is_empty() { "" } else { "," };
        self.line("", labels, &format!("{comma}{name}=\"{label}\""), value);
    }

    /// The buckets of a histogram: their upper bounds, and how many lie between each and the one before. What is beyond
    /// the last bound is `beyond`; `sum` is that of all, where it is known.
    pub(super) fn histogram(
        &mut self,
        labels: &str,
        buckets: impl Iterator<Item = (f64, u64)>,
        beyond: u64,
        sum: Option<f64>,
    ) {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut count = 0;
        for (bound, n) in buckets {
            count += n;
            // OpenMetrics wants a bound to look like a floating-point number.
            let point = if bound.fract() == 0.0 { ".0" } else { "" };
            self.line("_bucket", labels, &format!("{comma}le=\"{bound}{point}\""), Value::Count(count));
        }
        count += beyond;
        self.line("_bucket", labels, &format!("{comma}le=\"+Inf\""), Value::Count(count));
        if let Some(sum) = sum {
            self.line("_sum", labels, "", Value::Real(sum));
        }
        self.line("_count", labels, "", Value::Count(count));
    }

    fn line(&mut self, suffix: &str, labels: &str, more: &str, value: Value) {
        let Self { out, name, .. } = self;
        out.push_str(name);
        out.push_str(suffix);
        if !labels.is_empty() || !more.is_empty() {
            out.push('{');
            out.push_str(labels);
            out.push_str(more);
            out.push('}');
        }
        match value {
            Value::Count(n) => self.put(format_args!(" {n}\n")),
            Value::Real(real) => self.put(format_args!(" {real}\n")),
        }
        if self.out.len() >= PIECE {
            self.hand_on();
        }
    }

    fn hand_on(&mut self) {
        if self.failed.is_none() {
            self.failed = self.to.write_all(self.out.as_bytes()).err();
        }
        self.out.clear();
    }

    fn put(&mut self, words: std::fmt::Arguments<'_>) {
        let _ = self.out.write_fmt(words); // Writing to a String cannot fail.
    }

    /// The end of the text.
    ///
    /// # Errors
    /// When it could not be written.
    pub(super) fn finish(mut self) -> io::Result<()> {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.hand_on();
        self.failed.map_or(Ok(()), Err)
    }
}

/// Labels with their values, written out. Values may be anything that people write.
pub(super) fn labels(pairs: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (i, (name, value)) in pairs.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        out.push_str(name);
        out.push_str("=\"");
        for c in value.chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                c => out.push(c),
            }
        }
        out.push('"');
    }
    out
}

fn escape_help(help: &str) -> String {
    help.replace('\\', "\\\\").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::{Exposition, Format, PIECE, Type, Value, labels};
    use std::io;

    #[test]
    fn open_metrics_is_for_those_who_ask() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::accepted(Some(prometheus)), Format::OpenMetrics);
        assert_eq!(Format::accepted(Some("Application/OpenMetrics-Text; version=1.0.0")), Format::OpenMetrics);
        for text in [
            "*/*",
            "text/plain",
            "text/plain, application/openmetrics-text;q=0.9",
            "application/openmetrics-text;q=0",
            "x",
        ] {
            assert_eq!(Format::accepted(Some(text)), Format::Text, "{text}");
        }
        assert_eq!(Format::accepted(None), Format::Text);
    }

    #[test]
    fn both_formats_write_a_counter_in_their_way() {
        let write = |format| {
            let mut text = Vec::new();
            let mut out = Exposition::new(format, &mut text);
            out.begin("mcr_things", Type::Counter, "Things.");
            out.sample_by(&labels(&[("relay", "a\"b\\c\nd")]), "reason", "x", Value::Count(7));
            out.begin("mcr_build", Type::Info, "Build.");
            out.sample("", Value::Count(1));
            out.finish().unwrap();
            String::from_utf8(text).unwrap()
        };
        assert_eq!(
            write(Format::Text),
            "# HELP mcr_things_total Things.\n# TYPE mcr_things_total counter\n\
             mcr_things_total{relay=\"a\\\"b\\\\c\\nd\",reason=\"x\"} 7\n\
             # HELP mcr_build_info Build.\n# TYPE mcr_build_info gauge\nmcr_build_info 1\n"
        );
        assert_eq!(
            write(Format::OpenMetrics),
            "# HELP mcr_things Things.\n# TYPE mcr_things counter\n\
             mcr_things_total{relay=\"a\\\"b\\\\c\\nd\",reason=\"x\"} 7\n\
             # HELP mcr_build Build.\n# TYPE mcr_build info\nmcr_build_info 1\n# EOF\n"
        );
    }

    #[test]
    fn a_long_text_is_handed_on_in_pieces_and_an_error_ends_it() {
        struct Pieces(Vec<usize>);
        impl io::Write for Pieces {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.push(bytes.len());
                if self.0.len() > 3 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(bytes.len()) }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut pieces = Pieces(Vec::new());
        let mut out = Exposition::new(Format::Text, &mut pieces);
        out.begin("mcr_things", Type::Gauge, "Things.");
        (0..100_000).for_each(|n| out.sample("", Value::Count(n)));
        assert_eq!(out.finish().unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(pieces.0.len(), 4);
        assert!(pieces.0.iter().all(|piece| *piece < PIECE + 100), "{:?}", pieces.0);
    }

    #[test]
    fn buckets_are_cumulative() {
        let mut text = Vec::new();
        let mut out = Exposition::new(Format::Text, &mut text);
        out.begin("mcr_time_seconds", Type::Histogram, "Time.");
        out.histogram("lane=\"0\"", [(0.5, 2), (1.0, 0), (2.0, 3)].into_iter(), 4, Some(12.5));
        out.finish().unwrap();
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                "mcr_time_seconds_bucket{lane=\"0\",le=\"0.5\"} 2",
                "mcr_time_seconds_bucket{lane=\"0\",le=\"1.0\"} 2",
                "mcr_time_seconds_bucket{lane=\"0\",le=\"2.0\"} 5",
                "mcr_time_seconds_bucket{lane=\"0\",le=\"+Inf\"} 9",
                "mcr_time_seconds_sum{lane=\"0\"} 12.5",
                "mcr_time_seconds_count{lane=\"0\"} 9",
            ]
        );
    }
}
