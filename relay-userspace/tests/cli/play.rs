//! A server that plays the API's contract: relays with tags, problems in the words of the configuration, events, a
//! capture. It runs on a thread of its own and notes what it was asked.

use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use relay_config::{parse_relay, relay_to_json};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) type Body = BoxBody<Bytes, Infallible>;

/// The server. It ends with the test's process.
#[derive(Clone, Default)]
pub(crate) struct Play(Arc<Mutex<State>>);

#[derive(Default)]
pub(crate) struct State {
    /// The relays: where from, and what.
    pub(crate) relays: BTreeMap<String, (&'static str, Map<String, Value>)>,
    pub(crate) generation: u64,
    /// Method, path and If-Match of each request.
    pub(crate) asked: Vec<(String, String, Option<String>)>,
    /// So many changes lose a race before one is taken.
    pub(crate) races: u32,
    /// How long every answer takes.
    pub(crate) delay: Duration,
    pub(crate) healthy: bool,
    /// What a healthy node has besides: checks that fail, and percents that are missing.
    pub(crate) checks: Vec<Value>,
    pub(crate) missing: u32,
    pub(crate) verdict: &'static str,
    /// The events of each connection in turn, and the capture.
    pub(crate) streams: Vec<Vec<&'static str>>,
    pub(crate) capture: Vec<u8>,
    pub(crate) token: Option<String>,
    pub(crate) pid: u32,
    pub(crate) started_ns: u64,
    pub(crate) version: &'static str,
}

impl Play {
    pub(crate) fn at(socket: &Path) -> Self {
        let play = Self::default();
        play.with(|state| (state.healthy, state.verdict, state.pid, state.version) = (true, "flows", 4242, "0.1.0"));
        let listener = std::os::unix::net::UnixListener::bind(socket).unwrap();
        listener.set_nonblocking(true).unwrap();
        play.serve(async move |play| {
            let listener = tokio::net::UnixListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                play.clone().talk(TokioIo::new(stream));
            }
        });
        play
    }

    /// The same over TCP; the address.
    pub(crate) fn listen(&self) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        self.serve(async move |play| {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                play.clone().talk(TokioIo::new(stream));
            }
        });
        url
    }

    fn serve<F: AsyncFnOnce(Self) + Send + 'static>(&self, accept: F) {
        let play = self.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(accept(play));
        });
    }

    fn talk<S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static>(self, stream: S) {
        let service = service_fn(move |request| {
            let play = self.clone();
            async move { Ok::<_, Infallible>(play.answer(request).await) }
        });
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(stream, service));
    }

    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    /// Puts a relay there, as `input -> output` on some interfaces.
    pub(crate) fn relay(&self, name: &str, origin: &'static str, group: &str) {
        let relay = json!({
            "name": name,
            "input": { "interface": "in0", "group": group, "port": 5000 },
            "outputs": [{ "interface": "out0", "group": "239.2.1.1", "port": 5001 }],
        });
        self.with(|state| state.relays.insert(name.to_owned(), (origin, complete(&relay).unwrap())));
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.with(|state| state.asked.iter().map(|(method, path, _)| format!("{method} {path}")).collect())
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let path = parts.uri.path_and_query().unwrap().to_string();
        let header = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let delay = self.with(|state| {
            state.asked.push((parts.method.to_string(), path.clone(), header("if-match")));
            state.delay
        });
        tokio::time::sleep(delay).await;
        let is_token_right = self.with(|state| {
            state.token.as_ref().is_none_or(|token| header("authorization") == Some(format!("Bearer {token}")))
        });
        if parts.method != Method::GET && !is_token_right {
            return problem(401, "a change over TCP needs a token: send Authorization: Bearer TOKEN", &[]);
        }
        if path.starts_with("/api/v1/events") {
            return self.events(header("last-event-id"));
        }
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        self.with(|state| state.answer(&parts.method, &path, &body, header("if-match")))
    }

    /// Each connection gets its share and ends; the last one stays open.
    fn events(&self, last: Option<String>) -> Response<Body> {
        let (messages, is_last) = self.with(|state| {
            state.asked.push(("LAST".to_owned(), last.unwrap_or_default(), None));
            let is_last = state.streams.len() <= 1;
            (if state.streams.is_empty() { Vec::new() } else { state.streams.remove(0) }, is_last)
        });
        let frames = messages.into_iter().map(|message| Ok(Frame::data(Bytes::from(message))));
        let open = futures_util::stream::iter(frames);
        let body: Body = if is_last {
            let silence = futures_util::stream::pending::<Result<Frame<Bytes>, Infallible>>();
            BodyExt::boxed(StreamBody::new(futures_util::StreamExt::chain(open, silence)))
        } else {
            BodyExt::boxed(StreamBody::new(open))
        };
        Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
    }
}

/// A definition as the API shows it, or everything that is wrong with it.
fn complete(relay: &Value) -> Result<Map<String, Value>, Vec<Value>> {
    match parse_relay(relay) {
        Ok(relays) => Ok(relay_to_json(&relays[0]).as_object().unwrap().clone()),
        Err(errors) => Err(errors
            .errors
            .iter()
            .map(|error| json!({ "key": error.key, "problem": error.problem, "remedy": error.remedy }))
            .collect()),
    }
}

fn tag(relay: &Map<String, Value>) -> String {
    let sum =
        serde_json::to_string(relay).unwrap().bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte));
    format!("{sum:x}")
}

impl State {
    fn answer(&mut self, method: &Method, path: &str, body: &Value, if_match: Option<String>) -> Response<Body> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let dry = query.contains("dry_run=true");
        let parts: Vec<&str> = path.trim_start_matches("/api/v1/").split('/').collect();
        match (method.as_str(), parts.as_slice()) {
            ("GET" | "PATCH" | "DELETE", ["relays"]) => self.several(method, query, body, dry),
            ("POST", ["relays"]) => self.create(body, dry),
            ("PUT", ["relays"]) => self.replace_all(body, if_match, dry),
            ("GET", ["relays", name]) => self.found(name, |state| json_body(200, &state.shown(name))),
            ("PUT", ["relays", name]) => self.found(name, |state| state.replace(name, body, if_match, dry)),
            ("DELETE", ["relays", name]) => self.found(name, |state| {
                if !dry {
                    state.relays.remove(*name);
                }
                state.applied(dry, &[], &[], &[name])
            }),
            ("POST", ["relays", name, switch]) => self.found(name, |state| state.switch(name, switch, dry)),
            ("GET", ["relays", name, "why"]) => self.found(name, |state| state.why(name)),
            ("GET", ["relays", name, "capture"]) => {
                self.found(name, |state| Response::new(Full::from(state.capture.clone()).boxed()))
            }
            ("GET", ["links"]) => json_body(200, &json!([])),
            ("GET", ["status"]) => json_body(200, &self.status()),
            ("POST", ["reload"]) => self.applied(dry, &[], &[], &[]),
            ("POST", ["restart"]) => {
                self.started_ns += 1;
                self.applied(false, &[], &[], &[])
            }
            ("POST", ["upgrade"]) => {
                (self.pid, self.version) = (4343, "0.2.0");
                self.applied(false, &[], &[], &[])
            }
            ("PUT", ["log"]) => json_body(200, body),
            ("GET", ["", probe @ ("healthz" | "readyz")]) => {
                json_body(if self.healthy { 200 } else { 503 }, &self.health(probe))
            }
            _ => problem(404, "there is nothing at this address", &[]),
        }
    }

    fn found(&mut self, name: &str, then: impl FnOnce(&mut Self) -> Response<Body>) -> Response<Body> {
        if self.relays.contains_key(name) {
            return then(self);
        }
        problem(404, &format!("there is no relay \"{name}\": see mcr relay ls"), &[])
    }

    pub(crate) fn shown(&self, name: &str) -> Value {
        let (origin, relay) = &self.relays[name];
        let traffic = |at: String| {
            json!({ "at": at, "packets": 10, "bytes": 13_280, "pps": 100.0, "bps": 1_062_400.0,
            "last_packet_age_s": 0.01, "drops": {} })
        };
        let outputs: Vec<Value> =
            relay["outputs"].as_array().unwrap().iter().map(|_| traffic("out0/239.2.1.1:5001".into())).collect();
        let mut shown = relay.clone();
        shown.insert("origin".into(), (*origin).into());
        shown.insert("tag".into(), tag(relay).into());
        let state = match (&relay["enabled"], &relay["muted"]) {
            (Value::Bool(false), _) => "disabled",
            (_, Value::Bool(true)) => "muted",
            _ => "running",
        };
        let input = traffic(format!("in0/{}:5000", relay["input"]["group"].as_str().unwrap()));
        shown.insert("status".into(), json!({ "state": state, "pending": [], "input": input, "outputs": outputs }));
        shown.into()
    }

    fn create(&mut self, body: &Value, dry: bool) -> Response<Body> {
        let relay = match complete(body) {
            Ok(relay) => relay,
            Err(faults) => return problem(422, "wrong", &faults),
        };
        let name = relay["name"].as_str().unwrap().to_owned();
        if self.relays.contains_key(&name) {
            return problem(
                409,
                &format!("there is a relay \"{name}\" already: change it (mcr relay set, PUT), or use another name"),
                &[],
            );
        }
        if !dry {
            self.relays.insert(name.clone(), ("api", relay));
        }
        let mut answer = self.applied(dry, &[&name], &[], &[]);
        if !dry {
            *answer.status_mut() = StatusCode::CREATED;
        }
        answer
    }

    fn replace(&mut self, name: &str, body: &Value, if_match: Option<String>, dry: bool) -> Response<Body> {
        let (origin, before) = self.relays[name].clone();
        if origin == "file" {
            return problem(409, &format!("relay \"{name}\" stands in /etc/mcr/relay.toml: change it there"), &[]);
        }
        if self.lost_race(&if_match, &tag(&before)) {
            return problem(412, "what is in force is not what you have seen: read it again and decide anew", &[]);
        }
        match complete(body) {
            Err(faults) => problem(422, "wrong", &faults),
            Ok(after) if after == before => self.applied(dry, &[], &[], &[]),
            Ok(after) => {
                if !dry {
                    self.relays.insert(name.to_owned(), (origin, after));
                }
                self.applied(dry, &[], &[name], &[])
            }
        }
    }

    fn lost_race(&mut self, if_match: &Option<String>, tag: &str) -> bool {
        let is_race = self.races > 0;
        self.races = self.races.saturating_sub(1);
        is_race || if_match.as_ref().is_some_and(|wanted| *wanted != format!("\"{tag}\""))
    }

    fn replace_all(&mut self, body: &Value, if_match: Option<String>, dry: bool) -> Response<Body> {
        let set = format!("set-{}", self.generation);
        if self.lost_race(&if_match, &set) {
            return problem(412, "what is in force is not what you have seen: read it again and decide anew", &[]);
        }
        let mut after = BTreeMap::new();
        for relay in body["relays"].as_array().unwrap() {
            match complete(relay) {
                Ok(relay) => _ = after.insert(relay["name"].as_str().unwrap().to_owned(), ("api", relay)),
                Err(faults) => return problem(422, "wrong", &faults),
            }
        }
        let before: BTreeMap<_, _> =
            self.relays.clone().into_iter().filter(|(_, (origin, _))| *origin == "api").collect();
        let names = |wanted: &dyn Fn(&String) -> bool, of: &BTreeMap<String, _>| -> Vec<String> {
            of.keys().filter(|name| wanted(name)).cloned().collect()
        };
        let created = names(&|name| !before.contains_key(name), &after);
        let changed = names(&|name| before.get(name).is_some_and(|old| old != &after[name]), &after);
        let removed = names(&|name| !after.contains_key(name), &before);
        if !dry {
            self.relays.retain(|_, (origin, _)| *origin == "file");
            self.relays.extend(after);
        }
        let refs = |names: &[String]| names.to_vec();
        let (created, changed, removed) = (refs(&created), refs(&changed), refs(&removed));
        fn strs(names: &[String]) -> Vec<&str> {
            names.iter().map(String::as_str).collect()
        }
        self.applied(dry, &strs(&created), &strs(&changed), &strs(&removed))
    }

    fn switch(&mut self, name: &str, switch: &str, dry: bool) -> Response<Body> {
        let (key, value) = match switch {
            "enable" | "disable" => ("enabled", switch == "enable"),
            "mute" | "unmute" => ("muted", switch == "mute"),
            _ => return problem(404, "there is nothing at this address", &[]),
        };
        let relay = &mut self.relays.get_mut(name).unwrap().1;
        let is_so = relay.get(key).and_then(Value::as_bool).unwrap_or(key == "enabled") == value;
        if !dry && !is_so {
            relay.insert(key.to_owned(), value.into());
        }
        self.applied(dry, &[], if is_so { &[] } else { std::slice::from_ref(&name) }, &[])
    }

    pub(crate) fn applied(
        &mut self,
        dry: bool,
        created: &[&str],
        changed: &[&str],
        removed: &[&str],
    ) -> Response<Body> {
        let lines = |verb: &str, names: &[&str]| {
            names.iter().map(|name| format!("{verb} relay \"{name}\"")).collect::<Vec<_>>()
        };
        let changes = [lines("add", created), lines("change", changed), lines("remove", removed)].concat();
        if !dry && !changes.is_empty() {
            self.generation += 1;
        }
        json_body(
            200,
            &json!({ "generation": self.generation, "dry_run": dry, "changes": changes, "created": created,
            "changed": changed, "removed": removed }),
        )
    }

    fn why(&self, name: &str) -> Response<Body> {
        let state = if self.verdict == "flows" { "ok" } else { "broken" };
        json_body(
            200,
            &json!({ "relay": name, "verdict": self.verdict, "steps": [
            { "name": "joined", "part": "input", "state": state, "text": "the group is joined", "remedy": "join it" } ] }),
        )
    }

    fn health(&self, name: &str) -> Value {
        let status = if self.healthy { "ok" } else { "failing" };
        let text = if self.healthy { "" } else { "lane 0 has not come round for 2100 ms" };
        let check = if name == "healthz" { "lanes" } else { "pending" };
        let first = json!({ "name": check, "verdict": "fault", "ok": self.healthy, "text": text });
        let checks: Vec<&Value> = std::iter::once(&first).chain(&self.checks).collect();
        let verdicts: Vec<&Value> = self.checks.iter().map(|check| &check["verdict"]).collect();
        let share = json!({ "percent": 100 - self.missing, "whole": 1, "of": 2 });
        json!({ "status": status, "verdicts": verdicts, "checks": checks,
                "partial": { "relays": share, "links": share, "missing": self.missing } })
    }

    fn status(&self) -> Value {
        json!({ "version": self.version, "pid": self.pid, "uptime_s": 61.0, "started_ns": self.started_ns, "role": "standalone", "generation": self.generation,
            "health": self.health("healthz"), "ready": self.health("readyz"),
            "config": { "file": "/etc/mcr/relay.toml", "in_force": true, "error": null },
            "relays": { "running": self.relays.len() }, "pending": [], "lanes": [] })
    }
}

pub(crate) fn json_body(status: u16, value: &Value) -> Response<Body> {
    Response::builder().status(status).body(Full::from(value.to_string()).boxed()).unwrap()
}

pub(crate) fn problem(status: u16, detail: &str, faults: &[Value]) -> Response<Body> {
    json_body(
        status,
        &json!({ "type": "/problems/x", "title": "What was asked for is wrong.", "status": status,
        "detail": detail, "errors": faults }),
    )
}
