//! What is asked of the running mcr as a process: reload, upgrade, stop, log.

use super::applied;
use super::client::{Client, Question};
use super::exit::Exit;
use super::local::LocalNode;
use super::restart::replace;
use super::screen::{Screen, plain};
use crate::args::{Confirm, Log, Node, Reload, Rollback, Stop, Upgrade};
use anyhow::{Context as _, bail};
use hyper::Method;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use relay_config::model::Status;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long an upgrade may take: every lane is replaced in turn.
const UPGRADE: Duration = Duration::from_secs(120);
/// How long an old one may take to end.
const SOON: Duration = Duration::from_secs(30);
/// How often it is looked whether it does.
const LOOK: Duration = Duration::from_millis(50);

/// `mcr reload`.
pub(super) async fn reload<O: Write, E: Write>(asked: &Reload, screen: &mut Screen<O, E>) -> anyhow::Result<Exit> {
    let client = Client::new(&asked.node)?;
    let confirm = asked.confirm.as_ref();
    let path = confirm.map_or_else(|| "/api/v1/reload".to_owned(), |time| format!("/api/v1/reload?confirm={time}"));
    let answer = client.ask(Question::of(Method::POST, path).dry(asked.dry_run)).await?;
    applied::show(&answer, asked.json, screen)?;
    if let Some(time) = confirm.filter(|_| !asked.dry_run) {
        screen.note(&format!("what ran before runs again in {time}, unless you say: mcr confirm"));
    }
    Ok(Exit::Done)
}

/// `mcr confirm`.
pub(super) async fn confirm<O: Write, E: Write>(asked: &Confirm, screen: &mut Screen<O, E>) -> anyhow::Result<Exit> {
    let client = Client::new(&asked.node)?;
    let answer = client.ask(Question::of(Method::POST, "/api/v1/confirm")).await?;
    if asked.json {
        screen.json(&answer.body)?;
    } else {
        writeln!(screen.out, "confirmed: what runs stays")?;
    }
    Ok(Exit::Done)
}

/// `mcr rollback`.
pub(super) async fn rollback<O: Write, E: Write>(asked: &Rollback, screen: &mut Screen<O, E>) -> anyhow::Result<Exit> {
    let client = Client::new(&asked.node)?;
    let answer = client.ask(Question::of(Method::POST, "/api/v1/rollback").dry(asked.dry_run)).await?;
    applied::show(&answer, asked.json, screen)?;
    Ok(Exit::Done)
}

/// `mcr upgrade`.
pub(super) async fn upgrade<O: Write, E: Write>(
    asked: &Upgrade,
    local: &dyn LocalNode,
    screen: &mut Screen<O, E>,
) -> anyhow::Result<Exit> {
    let client = Client::new(&asked.node)?.patient(UPGRADE);
    let binary = match &asked.binary {
        // A path from here means nothing to control, which stands elsewhere.
        Some(binary) => binary.canonicalize().with_context(|| format!("cannot find {}", binary.display()))?,
        None => std::env::current_exe().context("cannot tell which binary this is: name it")?,
    };
    let question = Question::of(Method::POST, "/api/v1/upgrade").with(&json!({ "binary": binary }))?;
    let (answer, before, after) = replace(&client, None, local, question).await?;
    if let Some(why) = &after.went_back {
        let version = plain(&after.version);
        bail!(
            "the newer mcr failed in its place ({}); mcr {version} came back and is in charge, without loss",
            plain(why)
        );
    }
    if asked.json {
        screen.json(&answer.body)?;
    } else {
        let name = |status: &Status| format!("{} (pid {})", plain(&status.version), status.pid);
        writeln!(screen.out, "mcr {} took over from mcr {}", name(&after), name(&before))?;
    }
    Ok(Exit::Done)
}

/// `mcr stop`: asks as SIGTERM does, and waits.
pub(super) async fn stop<O: Write, E: Write>(asked: &Stop, screen: &mut Screen<O, E>) -> anyhow::Result<Exit> {
    let socket = asked.socket.clone().or_else(|| std::env::var_os("MCR_SOCKET").map(PathBuf::from));
    let socket = socket.unwrap_or_else(|| PathBuf::from(super::target::SOCKET));
    let client = Client::new(&Node { socket: Some(socket), ..Node::default() })?;
    let status: Status = client.ask(Question::get("/api/v1/status")).await?.read()?;
    let pid = status.pid;
    // Numbers of processes mean something only within one namespace.
    if !name_of(pid).is_some_and(|name| name.starts_with("mcr")) {
        bail!("process {pid} is not mcr here: stop it where it runs (in its container, or systemctl stop mcr)");
    }
    match kill(Pid::from_raw(pid.cast_signed()), Signal::SIGTERM) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(Errno::EPERM) => bail!("process {pid} belongs to another user: use sudo"),
        Err(error) => bail!("cannot end process {pid}: {error}"),
    }
    let gone = async {
        while name_of(pid).is_some() {
            sleep(LOOK).await;
        }
    };
    if timeout(SOON, gone).await.is_err() {
        bail!("process {pid} has not ended within {} s: look at its log", SOON.as_secs());
    }
    writeln!(screen.out, "mcr (pid {pid}) has ended")?;
    Ok(Exit::Done)
}

/// The name of a process, unless it is gone, or dead and not yet waited for.
fn name_of(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
    (!rest.trim_start().starts_with(['Z', 'X'])).then(|| name.to_owned())
}

/// `mcr log`.
pub(super) async fn log<O: Write, E: Write>(asked: &Log, screen: &mut Screen<O, E>) -> anyhow::Result<Exit> {
    let client = Client::new(&asked.node)?;
    client.ask(Question::of(Method::PUT, "/api/v1/log").with(&json!({ "level": asked.level }))?).await?;
    writeln!(screen.out, "log level: {}", asked.level)?;
    Ok(Exit::Done)
}
