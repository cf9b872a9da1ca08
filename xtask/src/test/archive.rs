//! Debian's packages, fetched and unpacked without being installed.
//!
//! apt does the work in a state of its own: it takes the suites from the mirror that this machine uses already, checks their
//! signatures with Debian's keys and each package by its sum. The machine's own lists and packages are not touched.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::{packages, step, step::step};

const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const SUITES: [&str; 3] = ["bookworm", "trixie", "trixie-backports"];

/// A private state of apt.
pub(super) struct Archive {
    folder: PathBuf,
}

impl Archive {
    /// Makes it and fetches the indexes. The error is why packages are not to be had here.
    pub(super) fn open(folder: &Path) -> Result<Self, String> {
        if !packages::is_debian() {
            return Err("packages are brought by Debian's apt, and there is none here".into());
        }
        if !Path::new(KEYS).is_file() {
            return Err(format!("{KEYS} is not here (package debian-archive-keyring)"));
        }
        let targets = "$(REPO_URI) $(ORIGIN) $(LABEL)";
        let mut asking = Command::new("apt-get");
        asking.args(["indextargets", "--format", targets, "Created-By: Packages"]);
        let told = step::capture(&mut asking).map_err(|error| format!("{error:#}"))?;
        let mirror = mirror(&told).ok_or("apt knows no mirror of Debian here, or not yet: sudo apt-get update")?;
        let archive = Self { folder: folder.to_owned() };
        archive.write(mirror).map_err(|error| format!("{error:#}"))?;
        let update = step("fetching the indexes of Debian's suites", archive.apt("apt-get").args(["update", "-qq"]));
        update.map_err(|error| format!("Debian's mirror is not to be reached: {error:#}"))?;
        Ok(archive)
    }

    /// Unpacks those of some packages and of what they need that are to be kept. The folder is there whole or not at all.
    pub(super) fn unpack(&self, packages: &[&str], suite: &str, keep: fn(&str) -> bool, to: &Path) -> Result<()> {
        let mut asking = self.apt("apt-get");
        asking.args(["install", "--simulate", "-qq", "--no-install-recommends", "--target-release", suite]);
        asking.args(packages);
        let needed = to_install(&step::capture(&mut asking)?);
        let wanted: Vec<&String> = needed.iter().filter(|one| keep(one.split('=').next().unwrap_or(one))).collect();
        ensure!(!wanted.is_empty(), "apt names no package to install");
        let (fetched, unpacked) = (to.with_extension("fetched"), to.with_extension("unpacked"));
        for folder in [&fetched, &unpacked] {
            if folder.exists() {
                fs::remove_dir_all(folder)?;
            }
            fs::create_dir_all(folder)?;
        }
        let what =
            format!("fetching {} of {suite} and what that needs, {} packages", packages.join(", "), wanted.len());
        step(&what, self.apt("apt-get").args(["download", "-qq"]).args(wanted).current_dir(&fetched))?;
        for file in fs::read_dir(&fetched)? {
            let mut unpacking = Command::new("dpkg-deb");
            unpacking.arg("--extract").arg(file?.path()).arg(&unpacked);
            step::capture(&mut unpacking)?;
        }
        fs::remove_dir_all(&fetched)?;
        fs::rename(&unpacked, to).with_context(|| format!("cannot make {}", to.display()))
    }

    fn write(&self, mirror: &str) -> Result<()> {
        for folder in ["lists/partial", "archives/partial", "parts"] {
            fs::create_dir_all(self.folder.join(folder)).context("cannot make a state for apt")?;
        }
        let line = |suite| format!("deb [arch=amd64 signed-by={KEYS}] {mirror} {suite} main\n");
        fs::write(self.folder.join("sources.list"), SUITES.map(line).concat())?;
        fs::write(self.folder.join("status"), "")?;
        let at = |name: &str| self.folder.join(name).display().to_string();
        let settings = [
            ("Dir::State", at("")),
            ("Dir::State::lists", at("lists")),
            ("Dir::State::status", at("status")),
            ("Dir::Cache", at("")),
            ("Dir::Cache::archives", at("archives")),
            ("Dir::Etc::sourcelist", at("sources.list")),
            ("Dir::Etc::sourceparts", at("parts")),
            ("Dir::Etc::preferences", at("no-preferences")),
            ("Dir::Etc::preferencesparts", at("parts")),
            ("APT::Architecture", "amd64".to_owned()),
            // Whoever runs this owns the state; apt's own user could not write there.
            ("APT::Sandbox::User", "root".to_owned()),
            ("Acquire::Languages", "none".to_owned()),
        ];
        let text: String = settings.iter().map(|(name, value)| format!("{name} \"{value}\";\n")).collect();
        fs::write(self.folder.join("apt.conf"), text).context("cannot write apt's settings")
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", self.folder.join("apt.conf"));
        command
    }
}

/// The first mirror of Debian itself among what `apt-get indextargets` tells.
fn mirror(told: &str) -> Option<&str> {
    told.lines().find_map(|line| line.strip_suffix(" Debian Debian"))
}

/// `name=version` of each package that a simulated installation names.
fn to_install(simulated: &str) -> Vec<String> {
    let parse = |line: &str| {
        let (name, rest) = line.strip_prefix("Inst ")?.split_once(" (")?;
        Some(format!("{name}={}", rest.split_whitespace().next()?))
    };
    simulated.lines().filter_map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::{mirror, to_install};

    #[test]
    fn the_mirror_is_debians_own() {
        let told = "http://m/sec/ Debian Debian-Security\nhttp://m/x/ Other Other\nhttp://m/debian/ Debian Debian\n";
        assert_eq!(mirror(told), Some("http://m/debian/"));
        assert_eq!(mirror("http://m/x/ Other Other\n"), None);
    }

    #[test]
    fn what_would_be_installed_is_what_is_fetched() {
        let simulated =
            "Inst libc6 (2.41-12 Debian:13.8/stable [amd64])\nConf libc6 (2.41-12 Debian:13.8/stable [amd64])\n";
        assert_eq!(to_install(simulated), ["libc6=2.41-12"]);
        assert!(to_install("E: nothing").is_empty());
    }
}
