//! What of a configuration would not work on this machine: what `mcr run` would refuse, and what it would go without.

use super::Seen;
use nix::unistd::{AccessFlags, eaccess};
use relay_api as api;
use relay_common::plan::Relay;
use relay_common::table::{Placement, compile};
use relay_config as config;
use relay_config::{Configuration, Errors};
use relay_control::book::Book;
use relay_control::lane_user::LaneUser;
use relay_control::preflight;
use relay_control::{advice, door, facts, fits, lock, store};
use std::path::{Path, PathBuf};

/// Where `mcr run` keeps things.
#[derive(Clone, Debug)]
pub struct Folders {
    /// Its locks, doors and sockets.
    pub run_dir: PathBuf,
    /// The state file, unless the configuration names it.
    pub state_dir: PathBuf,
}

/// Looks at this machine, and changes nothing. What mcr has that runs here already is no trouble, and who has none of the
/// rights that it takes to run mcr is not told that they are missing.
pub async fn look(file: &Path, configuration: &Configuration, folders: &Folders) -> Seen {
    let Configuration { plan, settings, .. } = configuration;
    let may_run = preflight::check_own_rights("mcr run").is_ok();
    let holder = holder(&folders.run_dir);
    let runs = holder.is_some();
    let state_file = settings.state.file.clone().unwrap_or_else(|| folders.state_dir.join("relays.toml"));
    let (of_api, mut lacks) = state(&state_file, runs, may_run);
    let book = Book::new(file.to_owned(), plan.clone(), of_api);
    let shadowed = book.shadowed().map(|(_, why)| format!("a relay of the API would not run: {why}"));
    lacks.extend(shadowed);
    let mut refusals = Vec::new();
    if may_run && let Some(refusal) = preflight::features().refusal() {
        refusals.push(refusal);
    }
    let listener = |address| holder.is_some_and(|pid| api::is_heard_by(pid, address));
    lacks.extend(api::doubts(&settings.http, listener));
    let default = config::Http::default();
    let run_dir_socket = folders.run_dir.join("mcr.sock");
    let socket = if settings.http.socket == default.socket { &run_dir_socket } else { &settings.http.socket };
    let taken = if runs { None } else { api::place_doubt(socket) };
    refusals.extend(taken.or_else(|| {
        let why = cannot_write(socket.parent()?, may_run)?;
        Some(format!("http.socket: {why}: let the user that runs mcr write there, or name another place"))
    }));
    let last_lane = plan.lanes.n_lanes().saturating_sub(1);
    let doors = door::namespace().map(|namespace| door::path(&folders.run_dir, namespace, last_lane));
    refusals.extend(doors.and_then(|path| door::address(&path)).err().map(|error| format!("{error:#}")));
    if let Some(why) = cannot_write(&folders.run_dir, may_run) {
        refusals.push(format!("{why}: run mcr as root, or name another folder with --run-dir"));
    }
    let lanes = LaneUser::doubt(plan.lanes.user.as_deref());
    let seen = Seen { refusals, lacks, lanes, ..Seen::default() };
    match links(&book, runs, may_run).await {
        Ok((facts, kernel, more, beside)) => {
            let refusals = seen.refusals.into_iter().chain(more).collect();
            Seen { facts, kernel, refusals, beside, ..seen }
        }
        Err(error) => {
            let text = format!("this machine does not tell of its links ({error:#}): checked as if there were none");
            Seen { lacks: seen.lacks.into_iter().chain([text]).collect(), ..seen }
        }
    }
}

type Links = (relay_common::facts::Facts, Vec<(String, relay_control::link::hint::Hint)>, Vec<String>, Vec<String>);

/// What is known of links, and what does not go together with it: of the file and what came through the API.
async fn links(book: &Book, runs: bool, may_run: bool) -> anyhow::Result<Links> {
    let plan = book.plan();
    let facts = facts::look_at(&plan).await?;
    let place = Placement::new(&plan, &facts, None);
    let hints = advice::hints_of_links(&plan, &place).await?;
    let (kernel, other): (Vec<_>, Vec<_>) = hints.into_iter().partition(|(_, hint)| advice::is_kernel_fault(hint));
    let is_others = |(_, hint): &&(String, relay_control::link::hint::Hint)| !runs && hint.name == "other-program";
    let beside = other.iter().filter(is_others).map(|(_, hint)| format!("{}; remedy: {}", hint.text, hint.remedy));
    let mut refusals = if may_run { fits::refusals(&plan, &place, &facts, runs) } else { Vec::new() };
    if !book.of_api.is_empty() {
        // What the file alone comes to is told beside.
        let of_file = Placement::new(&book.of_file, &facts, None);
        let alone = compile(&book.of_file, &facts, &of_file, None).refused;
        let both = compile(&plan, &facts, &place, None).refused;
        let news = both.iter().filter(|conflict| !alone.contains(conflict));
        refusals.extend(news.map(|conflict| format!("with the relays of the API: {conflict}")));
    }
    Ok((facts, kernel, refusals, beside.collect()))
}

/// The process of the mcr that runs here. Lanes without a control are taken over, and whose lock cannot be looked at may be one:
/// these have the number 0.
fn holder(run_dir: &Path) -> Option<i32> {
    let lanes = door::namespace().and_then(|namespace| door::find(run_dir, namespace));
    let left = lanes.is_ok_and(|doors| !doors.is_empty()).then_some(0);
    lock::holder(run_dir).map_or(Some(0), |holder| holder.or(left))
}

/// The relays of the state file, and why they are not, or what changes would not be kept.
fn state(file: &Path, runs: bool, may_run: bool) -> (Vec<Relay>, Vec<String>) {
    let shown = file.display();
    let mut lacks = Vec::new();
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    if let Some(why) = cannot_write(folder, may_run) {
        lacks.push(format!("what changes through the API would not be kept in {shown}: {why}: set [state] file"));
    } else if !runs && store::is_locked(file) {
        let remedy = "give each its own file ([state] file, or --state-dir)";
        lacks.push(format!("the relays in {shown} would not run here: another mcr uses it: {remedy}"));
        return (Vec::new(), lacks);
    }
    let is_readable = |path: &Path| path.exists() && (may_run || eaccess(path, AccessFlags::R_OK).is_ok());
    let relays = if is_readable(file) { config::load(file).map(|read| read.plan.relays) } else { Ok(Vec::new()) };
    let relays = relays.unwrap_or_else(|errors: Errors| {
        lacks.push(format!("the relays of the API would not run: the state file cannot be read: {errors}"));
        Vec::new()
    });
    (relays, lacks)
}

/// Why nothing can be made in a folder, or the folder itself. Rights are those of who looks.
fn cannot_write(folder: &Path, may_run: bool) -> Option<String> {
    let found = folder.ancestors().find_map(|one| Some((one, std::fs::metadata(one).ok()?)));
    let (there, about) = found?;
    let shown = there.display();
    if !about.is_dir() {
        return Some(format!("{shown} is no folder"));
    }
    let error = eaccess(there, AccessFlags::W_OK | AccessFlags::X_OK).err()?;
    may_run.then(|| format!("cannot write to {shown}: {}", error.desc()))
}

#[cfg(test)]
mod tests {
    use super::{cannot_write, state};
    use std::fs;

    #[test]
    fn folders_are_tried_where_they_would_be_made() {
        let folder = std::env::temp_dir().join(format!("mcr-check-machine-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        assert_eq!(cannot_write(&folder.join("a/b"), true), None);
        fs::write(folder.join("file"), "").unwrap();
        let said = cannot_write(&folder.join("file/b"), true).unwrap();
        assert!(said.ends_with("file is no folder"), "{said}");
        let (relays, lacks) = state(&folder.join("relays.toml"), false, true);
        assert_eq!((relays.len(), lacks), (0, Vec::new()));
        let (_, lacks) = state(&folder, false, true);
        assert!(lacks[0].contains("the state file cannot be read"), "{lacks:?}");
        fs::remove_dir_all(folder).unwrap();
    }
}
