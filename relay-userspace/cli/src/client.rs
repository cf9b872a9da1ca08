//! The client of the API: one connection for each question.

use super::failure::Failure;
use super::target::Target;
use super::trust::Trust;
use super::unreachable;
use crate::args::Node;
use anyhow::Context as _;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, IF_MATCH, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use relay_config::model::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::env::var_os;
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// How long an answer may take: a change waits for every lane, and is taken back if one does not confirm it.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long an answer may be: some thousand bytes for each of as many relays as a node can have.
const LONGEST: usize = 256 << 20;

/// The client.
#[derive(Clone, Debug)]
pub(super) struct Client {
    target: Target,
    token: Option<String>,
    trust: Trust,
    patience: Duration,
}

/// A question.
#[derive(Clone, Debug)]
pub(super) struct Question {
    method: Method,
    path: String,
    body: Option<Vec<u8>>,
    headers: Vec<(HeaderName, String)>,
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// Its status.
    pub(super) status: StatusCode,
    /// What it says, as it came.
    pub(super) body: Bytes,
}

impl Question {
    /// To see something.
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::of(Method::GET, path)
    }

    /// To do something.
    pub(super) fn of(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), body: None, headers: Vec::new() }
    }

    /// With this body.
    ///
    /// # Errors
    /// When it has no JSON.
    pub(super) fn with(mut self, body: &impl Serialize) -> anyhow::Result<Self> {
        self.body = Some(serde_json::to_vec(body).context("cannot write JSON")?);
        Ok(self)
    }

    /// With a header.
    pub(super) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Only if what is in force is called so, or, with `*`, if there is anything.
    pub(super) fn only_if(self, tag: &str) -> Self {
        let value = if tag == "*" { tag.to_owned() } else { format!("\"{tag}\"") };
        self.header(IF_MATCH, value)
    }

    /// Only to be told what would change.
    pub(super) fn dry(self, dry: bool) -> Self {
        self.param("dry_run", dry)
    }

    /// Also where it cannot be kept.
    pub(super) fn volatile(self, volatile: bool) -> Self {
        self.param("volatile", volatile)
    }

    fn param(mut self, name: &str, is_set: bool) -> Self {
        if is_set {
            let sign = if self.path.contains('?') { '&' } else { '?' };
            self.path.push_str(&format!("{sign}{name}=true"));
        }
        self
    }
}

impl Answer {
    /// The same answer if it is none of refusal.
    ///
    /// # Errors
    /// What control says is wrong.
    pub(super) fn granted(self) -> anyhow::Result<Self> {
        if self.status.is_success() {
            return Ok(self);
        }
        let problem: Problem = serde_json::from_slice(&self.body)
            .map_err(|_| anyhow::anyhow!("the answer is {} and not mcr's: is mcr there?", self.status))?;
        Err(Failure::Refused(Box::new(problem)).into())
    }

    /// What it says.
    ///
    /// # Errors
    /// When that is not what it should be.
    pub(super) fn read<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        serde_json::from_slice(&self.body)
            .context("the answer is not what this mcr understands: are both of one version?")
    }
}

impl Client {
    /// The client for the control that the options name.
    ///
    /// # Errors
    /// When they name none.
    pub(super) fn new(node: &Node) -> Result<Self, Failure> {
        let target = Target::choose(node, |name| var_os(name))?;
        let token = target.token(node, var_os("MCR_TOKEN"))?;
        Ok(Self { target, token, trust: Trust::choose(node, var_os("MCR_CA_FILE")), patience: PATIENCE })
    }

    /// The same with another patience.
    pub(super) fn patient(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Where control is.
    pub(super) const fn target(&self) -> &Target {
        &self.target
    }

    /// Asks, and waits for an answer that is no refusal.
    ///
    /// # Errors
    /// When control cannot be reached, or refuses.
    pub(super) async fn ask(&self, question: Question) -> anyhow::Result<Answer> {
        self.answer(question).await?.granted()
    }

    /// Asks, and waits for whatever the answer is.
    ///
    /// # Errors
    /// When control cannot be reached.
    pub(super) async fn answer(&self, question: Question) -> anyhow::Result<Answer> {
        match timeout(self.patience, self.whole(question)).await {
            Ok(answer) => answer,
            Err(_) => Err(self.too_slow()),
        }
    }

    /// Asks for something that comes bit by bit; only its beginning has to come in time.
    ///
    /// # Errors
    /// When control cannot be reached, or refuses.
    pub(super) async fn stream(&self, question: Question) -> anyhow::Result<Incoming> {
        let begun = async {
            let response = self.send(question).await?;
            if response.status().is_success() {
                return Ok(response.into_body());
            }
            let refused = self.read(response).await?;
            Err(refused.granted().err().unwrap_or_else(|| anyhow::anyhow!("the answer is empty")))
        };
        timeout(self.patience, begun).await.unwrap_or_else(|_| Err(self.too_slow()))
    }

    fn too_slow(&self) -> anyhow::Error {
        Failure::Silent(unreachable::too_slow(&self.target, self.patience)).into()
    }

    async fn whole(&self, question: Question) -> anyhow::Result<Answer> {
        let response = self.send(question).await?;
        self.read(response).await
    }

    async fn read(&self, response: Response<Incoming>) -> anyhow::Result<Answer> {
        let status = response.status();
        let body = Limited::new(response.into_body(), LONGEST).collect().await;
        let body = body.map_err(|error| Failure::Unreachable(unreachable::cut_off(&self.target, &error)))?;
        Ok(Answer { status, body: body.to_bytes() })
    }

    async fn send(&self, question: Question) -> anyhow::Result<Response<Incoming>> {
        let failed = |error: std::io::Error| match error.kind() {
            // Those who gave up wait there still: it takes nobody in.
            ErrorKind::WouldBlock => Failure::Silent(unreachable::crowded(&self.target)),
            _ => Failure::Unreachable(unreachable::not_connected(&self.target, &error)),
        };
        match &self.target {
            Target::Unix(path) => self.over(UnixStream::connect(path).await.map_err(failed)?, question).await,
            Target::Tcp { host, port, tls } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(failed)?;
                if !tls {
                    return self.over(stream, question).await;
                }
                let failed = |error| Failure::Unreachable(unreachable::not_agreed(&self.target, &error));
                let stream = self.trust.agree(host, stream).await?.map_err(failed)?;
                self.over(stream, question).await
            }
        }
    }

    async fn over<S>(&self, stream: S, question: Question) -> anyhow::Result<Response<Incoming>>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let cut_off = |error: hyper::Error| Failure::Unreachable(unreachable::cut_off(&self.target, &error));
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(cut_off)?;
        // It ends with the answer's body, or with the runtime; an error of it is also one of the answer.
        tokio::spawn(connection);
        Ok(sender.send_request(self.request(question)?).await.map_err(cut_off)?)
    }

    fn request(&self, question: Question) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(question.method)
            .uri(question.path)
            .header(HOST, self.target.host())
            .header(USER_AGENT, concat!("mcr/", env!("CARGO_PKG_VERSION")));
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if question.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        for (name, value) in question.headers {
            request = request.header(name, value);
        }
        request.body(Full::from(question.body.unwrap_or_default())).context("cannot ask that")
    }
}

/// The path of a relay.
pub(super) fn path_of(relay: &str) -> String {
    "/api/v1/relays/".to_owned() + &encoded(relay)
}

/// A text within an address: what would mean something else there is written as `%XX`.
pub(super) fn encoded(text: &str) -> String {
    let mut coded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => coded.push(char::from(byte)),
            _ => coded.push_str(&format!("%{byte:02X}")),
        }
    }
    coded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_one_part_of_the_path() {
        assert_eq!(path_of("ch-1_a.b"), "/api/v1/relays/ch-1_a.b");
        assert_eq!(path_of("ch/0"), "/api/v1/relays/ch%2F0");
        assert_eq!(path_of("a?b#\u{e9}"), "/api/v1/relays/a%3Fb%23%C3%A9");
    }

    #[test]
    fn dry_joins_what_is_asked_already() {
        assert_eq!(Question::get("/a").dry(true).path, "/a?dry_run=true");
        assert_eq!(Question::get("/a?b=1").dry(true).path, "/a?b=1&dry_run=true");
        assert_eq!(Question::get("/a").dry(false).path, "/a");
    }
}
