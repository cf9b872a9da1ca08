//! A real browser without a screen, inside the node's namespace, and as much of WebDriver as drives it.

use bench::clock::Deadline;
use bench::{Namespace, Process};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

const PORT: u16 = 9515;
/// A browser that starts on a busy machine.
const STARTS_WITHIN: Duration = Duration::from_secs(60);
/// It is driven by one answer at a time; none takes longer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);
/// Without the rights and the network that its own jail and its own questions need.
const FLAGS: [&str; 11] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1280,900",
];

/// Keys that are no characters.
pub(super) const ENTER: &str = "\u{e007}";
pub(super) const ESCAPE: &str = "\u{e00c}";
pub(super) const DOWN: &str = "\u{e015}";
pub(super) const UP: &str = "\u{e013}";
pub(super) const TAB: &str = "\u{e004}";

/// One window. It closes when this is dropped.
#[derive(Debug)]
pub(super) struct Browser<'a> {
    namespace: &'a Namespace,
    session: String,
    pictures: PathBuf,
    _driver: Process,
}

impl<'a> Browser<'a> {
    /// Starts it in the namespace; what it writes goes into that folder.
    pub(super) fn start(namespace: &'a Namespace, folder: &Path) -> Self {
        let mut command = namespace.command("chromedriver");
        command.arg(format!("--port={PORT}")).env("HOME", folder);
        let driver = Process::start("chromedriver", command).unwrap();
        driver.wait_for("was started successfully", STARTS_WITHIN).unwrap();
        let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/pictures");
        fs::create_dir_all(&pictures).unwrap();
        let mut browser = Self { namespace, session: String::new(), pictures, _driver: driver };
        let data = format!("--user-data-dir={}", folder.join("browser").display());
        let flags: Vec<&str> = FLAGS.into_iter().chain([data.as_str()]).collect();
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": flags },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        } } });
        let session = browser.send("POST", "/session", &wanted);
        browser.session = format!("/session/{}", session["sessionId"].as_str().unwrap());
        browser
    }

    #[track_caller]
    pub(super) fn open(&self, address: &str) {
        self.ask("/url", &json!({ "url": address }));
    }

    /// What the body of a function gives, in the page.
    #[track_caller]
    pub(super) fn run(&self, script: &str) -> Value {
        self.ask("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until that is so, in the page.
    #[track_caller]
    pub(super) fn wait_until(&self, condition: &str, within: Duration) {
        let deadline = Deadline::after(within);
        while self.run(&format!("return Boolean({condition})")) != true {
            if deadline.passed() {
                self.picture("failed");
                panic!("not so within {within:?}: {condition}; the page says:\n{}", self.text("body"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What is read there, as a person reads it.
    #[track_caller]
    pub(super) fn text(&self, selector: &str) -> String {
        let text = self.run(&format!("return document.querySelector({selector:?}).innerText"));
        text.as_str().unwrap().to_owned()
    }

    /// Types these, each a key.
    #[track_caller]
    pub(super) fn press(&self, keys: &[&str]) {
        let stroke =
            |key: &&str| [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })];
        let strokes: Vec<Value> = keys.iter().flat_map(stroke).collect();
        self.ask("/actions", &json!({ "actions": [{ "type": "key", "id": "keys", "actions": strokes }] }));
    }

    /// As on a screen of that size.
    pub(super) fn resize(&self, width: u32, height: u32, is_phone: bool) {
        let scale = if is_phone { 2 } else { 1 };
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": is_phone });
        self.command("Emulation.setDeviceMetricsOverride", &size);
    }

    /// As who prefers `light` or `dark`.
    pub(super) fn prefer(&self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.command("Emulation.setEmulatedMedia", &features);
    }

    /// Keeps a picture of what is seen, in target/pictures.
    pub(super) fn picture(&self, name: &str) {
        let shown = self.send("GET", &format!("{}/screenshot", self.session), &Value::Null);
        fs::write(self.pictures.join(format!("{name}.png")), from_base64(shown.as_str().unwrap())).unwrap();
    }

    /// What the console said since this was asked last.
    pub(super) fn console(&self) -> Vec<String> {
        let entries = self.ask("/se/log", &json!({ "type": "browser" }));
        entries.as_array().unwrap().iter().map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    /// The addresses that pages asked for since this was asked last.
    pub(super) fn requests(&self) -> Vec<String> {
        let entries = self.ask("/se/log", &json!({ "type": "performance" }));
        let of = |entry: &Value| -> Option<String> {
            let message: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let message = &message["message"];
            // What a browser begins with is made of pages of its own.
            let is_own = message["params"]["documentURL"].as_str().is_none_or(|page| page.starts_with("chrome://"));
            let is_asked = message["method"] == "Network.requestWillBeSent" && !is_own;
            is_asked.then(|| message["params"]["request"]["url"].as_str().map(str::to_owned)).flatten()
        };
        entries.as_array().unwrap().iter().filter_map(of).collect()
    }

    fn command(&self, name: &str, parameters: &Value) {
        self.ask("/goog/cdp/execute", &json!({ "cmd": name, "params": parameters }));
    }

    #[track_caller]
    fn ask(&self, what: &str, body: &Value) -> Value {
        self.send("POST", &format!("{}{what}", self.session), body)
    }

    /// One question on a connection of its own.
    #[track_caller]
    fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let mut stream = self.namespace.run(|| TcpStream::connect((Ipv4Addr::LOCALHOST, PORT))).unwrap();
        stream.set_read_timeout(Some(ANSWERS_WITHIN)).unwrap();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost:{PORT}\r\nConnection: close\r\n");
        let rest = format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all((head + &rest).as_bytes()).unwrap();
        let mut answer = BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        while answer.read_line(&mut line).unwrap() > 2 {
            let lower = line.to_ascii_lowercase();
            length = lower.strip_prefix("content-length:").map_or(length, |n| n.trim().parse().unwrap());
            line.clear();
        }
        let mut bytes = vec![0; length];
        answer.read_exact(&mut bytes).unwrap();
        let mut answer: Value = serde_json::from_slice(&bytes).unwrap();
        let value = answer["value"].take();
        assert!(value.get("error").is_none(), "{method} {path} {body}: {value:#}");
        value
    }
}

impl Drop for Browser<'_> {
    fn drop(&mut self) {
        // The driver, and whatever is left of the browser, goes with its process and the namespace.
        if !std::thread::panicking() {
            self.send("DELETE", &self.session, &Value::Null);
        }
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = four.iter().fold(0_u32, |bits, byte| bits << 6 | u32::from(value(*byte)));
        let bits = bits << (6 * (4 - four.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..four.len()]);
    }
    bytes
}

#[test]
fn pictures_come_as_they_were_sent() {
    for (text, bytes) in [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYmE=", "fooba")] {
        assert_eq!(from_base64(text), bytes.as_bytes());
    }
    assert_eq!(from_base64("+/8="), [0xfb, 0xff]);
}
