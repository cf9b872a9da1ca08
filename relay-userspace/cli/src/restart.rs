//! `mcr restart`: another control in the place of the one that runs, also where that stands still.

use super::client::{Answer, Client, Question};
use super::exit::Exit;
use super::failure::Failure;
use super::local::LocalNode;
use super::screen::{Screen, plain};
use crate::args::Restart;
use anyhow::{Context as _, bail};
use hyper::Method;
use relay_config::model::Status;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long the new control may take to answer.
const SOON: Duration = Duration::from_secs(30);
/// The node at a glance is told by a thread that waits for nothing: a control that does not tell it in so long stands still.
const STANDS_STILL: Duration = Duration::from_secs(3);
/// A control that is busy has thirty seconds; then the number of the change is the answer.
const ASKED: Duration = Duration::from_secs(40);
/// A process that was killed is gone so soon, unless the kernel holds it.
const KILLED: Duration = Duration::from_secs(5);
/// Whoever starts control again when it has ended does so within this.
const STARTED_AGAIN: Duration = Duration::from_secs(5);
/// How often it is looked whether it is so.
const LOOK: Duration = Duration::from_millis(50);

/// `mcr restart`.
pub(super) async fn restart<O: Write, E: Write>(
    asked: &Restart,
    local: &dyn LocalNode,
    screen: &mut Screen<O, E>,
) -> anyhow::Result<Exit> {
    let client = Client::new(&asked.node)?.patient(ASKED);
    let folder = asked.run_dir.clone().or_else(|| client.target().folder().map(Path::to_owned));
    if asked.force {
        return force(&client, folder, local, asked.json, screen).await;
    }
    let (answer, before, after) =
        replace(&client, folder, local, Question::of(Method::POST, "/api/v1/restart")).await?;
    let lanes = |status: &Status| status.lanes.iter().map(|lane| (lane.number, lane.pid)).collect::<Vec<_>>();
    let relayed = match (lanes(&before), lanes(&after)) {
        (before, after) if before != after => "not all lanes are the same: mcr events tells why".to_owned(),
        (before, _) if before.len() == 1 => "its lane relayed on".to_owned(),
        (before, _) => format!("its {} lanes relayed on", before.len()),
    };
    show(&answer, &after, &relayed, asked.json, screen)
}

fn show<O: Write, E: Write>(
    answer: &Answer,
    after: &Status,
    relayed: &str,
    json: bool,
    screen: &mut Screen<O, E>,
) -> anyhow::Result<Exit> {
    if json {
        screen.json(&answer.body)?;
    } else {
        let version = plain(&after.version);
        writeln!(screen.out, "control of mcr {version} (pid {}) is started anew; {relayed}", after.pid)?;
    }
    Ok(Exit::Done)
}

/// Asks for another control, and waits until that is in charge. The answer may be lost together with the control that owes
/// it, so whoever answers is asked who it is. Says what it answers, and who was there before.
pub(super) async fn replace(
    client: &Client,
    folder: Option<PathBuf>,
    local: &dyn LocalNode,
    question: Question,
) -> anyhow::Result<(Answer, Status, Status)> {
    let folder = folder.or_else(|| client.target().folder().map(Path::to_owned));
    let status = client.clone().patient(STANDS_STILL).ask(Question::get("/api/v1/status")).await;
    let before: Status = status.map_err(|error| stands_still(error, folder.as_deref(), local))?.read()?;
    match client.ask(question).await {
        Ok(_) => {}
        Err(error) if is_gone(&error) => {}
        Err(error) => return Err(error),
    }
    let is_another = |after: &Status| (after.pid, after.started_ns) != (before.pid, before.started_ns);
    match timeout(SOON, follower(client, folder.as_deref(), local, is_another)).await {
        Err(_) => bail!("control is the same as before (pid {}), or does not answer: mcr events tells why", before.pid),
        Ok(followed) => followed?.map(|(answer, after)| (answer, before, after)).context(
            "control has ended, and nobody started another: its lanes, if it left any, relay on: systemctl start mcr",
        ),
    }
}

fn is_gone(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Failure::Unreachable(_) | Failure::Silent(_)))
}

/// Waits for the control that follows. The old one may still answer for a moment; the new one answers once it has taken the
/// lanes over. It may be the same process and may call itself the same, but it has started at another time. `None` when
/// nobody is there who could answer, and nobody comes.
async fn follower(
    client: &Client,
    folder: Option<&Path>,
    local: &dyn LocalNode,
    is_another: impl Fn(&Status) -> bool,
) -> anyhow::Result<Option<(Answer, Status)>> {
    let mut seen = Instant::now();
    loop {
        match client.clone().patient(SOON).ask(Question::get("/api/v1/status")).await {
            Ok(answer) => {
                let after: Status = answer.read()?;
                if is_another(&after) {
                    return Ok(Some((answer, after)));
                }
                seen = Instant::now();
            }
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
        // Who may not see the lock waits for whoever comes.
        if folder.is_none_or(|folder| !matches!(local.control(folder), Ok(None))) {
            seen = Instant::now();
        } else if seen.elapsed() > STARTED_AGAIN {
            return Ok(None);
        }
        sleep(LOOK).await;
    }
}

/// What is wrong where control did not answer, and the way out.
fn stands_still(error: anyhow::Error, folder: Option<&Path>, local: &dyn LocalNode) -> anyhow::Error {
    let Some(Failure::Silent(_)) = error.downcast_ref() else { return error };
    let Some(pid) = folder.and_then(|folder| local.control(folder).ok().flatten()) else { return error };
    let why = why_it_is_silent(pid);
    Failure::Silent(format!(
        "control (pid {pid}) does not answer: {why}; its lanes relay on: mcr restart --force kills it, and whoever starts mcr \
         again puts another in charge of them without a loss"
    ))
    .into()
}

/// What a process does that does not answer, as far as /proc tells.
fn why_it_is_silent(pid: i32) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().next());
    match state {
        Some("T") => format!("somebody has stopped it (SIGSTOP; it goes on with kill -CONT {pid})"),
        Some("t") => "a debugger holds it".to_owned(),
        Some("D") => "the kernel holds it (see dmesg)".to_owned(),
        Some("R") => "it runs and comes to nothing".to_owned(),
        _ => "it waits for something".to_owned(),
    }
}

/// Kills control, whatever it does, and waits for the next one.
async fn force<O: Write, E: Write>(
    client: &Client,
    folder: Option<PathBuf>,
    local: &dyn LocalNode,
    json: bool,
    screen: &mut Screen<O, E>,
) -> anyhow::Result<Exit> {
    let Some(folder) = folder else {
        return Err(Failure::usage("--force ends a process of this machine: name its Unix socket or --run-dir").into());
    };
    let Some(pid) = local.control(&folder)? else {
        bail!("no control is there with the run folder {}: systemctl start mcr", folder.display());
    };
    let cannot = || format!("cannot kill control (pid {pid}): run mcr restart --force as root, or as its user");
    let number = u32::try_from(pid).with_context(cannot)?;
    if is_first_of_a_container(number) {
        bail!(
            "control (pid {pid}) is the first process of a container, and its lanes would die with it: restart the container"
        );
    }
    let command = command_line(number);
    if !local.kill(number, KILLED).await.with_context(cannot)? {
        bail!("control (pid {pid}) was killed and is still there: the kernel holds it, see dmesg");
    }
    screen.note(&format!("control (pid {pid}) was killed; its lanes relay on"));
    match timeout(SOON, follower(client, Some(&folder), local, |_| true)).await {
        Ok(Ok(Some((answer, after)))) => show(&answer, &after, "its lanes relayed on", json, screen),
        Ok(Err(error)) => Err(error),
        Ok(Ok(None)) => bail!("nobody has started another control: start it, which takes the lanes over: {command}"),
        Err(_) => bail!("another control is there and does not answer yet: see its log"),
    }
}

/// Whether all of its container dies with a process: it is the first one in a namespace of processes of its own.
fn is_first_of_a_container(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    numbers.and_then(|numbers| numbers.split_whitespace().next_back()) == Some("1")
}

/// How a process was called.
fn command_line(pid: u32) -> String {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<_> = words.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    words.join(" ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{command_line, is_first_of_a_container, why_it_is_silent};

    #[test]
    fn a_process_is_told_by_what_proc_says() {
        let own = std::process::id();
        assert!(!command_line(own).is_empty() && command_line(1 << 23).is_empty());
        assert!(!is_first_of_a_container(1 << 23));
        assert!(!why_it_is_silent(i32::try_from(own).unwrap()).is_empty());
    }
}
