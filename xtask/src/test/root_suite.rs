//! A suite that root runs: compiled by the user, so that nothing in target/ ever belongs to root.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::{rights::Rights, step, workspace::Workspace};

use super::{program, tally::Tally};

/// How a suite is run.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) rights: Rights,
    /// Longer than usual.
    pub(super) long: bool,
    /// Only the tests whose names contain this.
    pub(super) filter: Option<&'a str>,
    /// What the suite is told besides.
    pub(super) env: &'a [(&'a str, &'a OsStr)],
}

/// A test target whose ignored tests root runs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Suite {
    package: &'static str,
    target: String,
}

impl Suite {
    /// The XDP program and its maps in this kernel.
    pub(super) fn kernel() -> Self {
        Self { package: "relay-userspace", target: "kernel".to_owned() }
    }

    /// The unit under a booted systemd.
    pub(super) fn systemd() -> Self {
        Self { package: "relay-userspace", target: "systemd".to_owned() }
    }

    /// Everything that needs network namespaces: the targets of the relay and of the laboratory named so.
    pub(super) fn netns(workspace: &Workspace) -> Result<Vec<Self>> {
        let mut suites = Vec::new();
        for package in ["bench", "relay-userspace"] {
            let targets = workspace.targets(package, "test")?.into_iter().filter(|target| target.starts_with("netns"));
            suites.extend(targets.map(|target| Self { package, target }));
        }
        Ok(suites)
    }

    pub(super) fn name(&self) -> String {
        match self.package {
            "relay-userspace" => self.target.clone(),
            package => format!("{package} {}", self.target),
        }
    }

    /// Whether it is one of the relay's own between network namespaces: the laboratory's measure.
    pub(super) fn is_netns_of_relay(&self) -> bool {
        self.package == "relay-userspace" && self.target.starts_with("netns")
    }

    /// Compiles its tests, and says where their program lies.
    pub(super) fn compile(&self, workspace: &Workspace) -> Result<PathBuf> {
        program::compile_test(workspace, self.package, &self.target)
    }

    pub(super) fn is_there(&self, workspace: &Workspace) -> Result<bool> {
        workspace.has_target(self.package, "test", &self.target)
    }

    /// Compiles its tests and runs them.
    pub(super) fn run(&self, workspace: &Workspace, run: &Run<'_>) -> Result<Tally> {
        eprintln!("xtask: compiling the tests of {} …", self.name());
        let program = self.compile(workspace)?;
        self.run_compiled(workspace, &program, run, "")
    }

    /// Runs its tests one at a time, and shows what they print behind `prefix`. The relay under test is the release
    /// build; a build that can be made to die in a commit lies beside the tests.
    pub(super) fn run_compiled(
        &self,
        workspace: &Workspace,
        program: &Path,
        run: &Run<'_>,
        prefix: &str,
    ) -> Result<Tally> {
        let package = workspace.root().join(self.package);
        let mcr = workspace.mcr();
        let mut env = vec![("MCR", mcr.as_os_str()), ("CARGO_MANIFEST_DIR", package.as_os_str())];
        env.extend(run.env);
        if run.long {
            env.push(("MCR_LONG", OsStr::new("1")));
        }
        let mut tests = run.rights.command(program, &env);
        tests.current_dir(&package).args(["--ignored", "--test-threads=1"]).args(run.filter);
        eprintln!("xtask: running {} as root …", self.name());
        let (status, printed) = step::watch_as(prefix, &mut tests)?;
        Ok(Tally::read(&printed, status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_named_netns_is_found_in_both_crates() {
        let names = Suite::netns(&Workspace::find().unwrap()).unwrap().iter().map(Suite::name).collect::<Vec<_>>();
        assert!(
            ["bench netns", "netns", "netns_death"].iter().all(|name| names.contains(&(*name).to_owned())),
            "{names:?}"
        );
        assert!(!names.contains(&"kernel".to_owned()));
    }
}
