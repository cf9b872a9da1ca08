//! Where things are: the sources, what is built, the tools.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::step;

pub(crate) struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Cargo says where it runs us; the place of the build is the answer when we are started by hand.
    pub(crate) fn find() -> Result<Self> {
        let xtask = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&xtask).join("..").canonicalize().context("cannot find the workspace above xtask")?;
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir));
        Ok(Self { root, target })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Tools we install for ourselves live here, never in the user's ~/.cargo.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    pub(crate) fn tool(&self, name: &str) -> PathBuf {
        self.tools().join("bin").join(name)
    }

    /// The eBPF object of a package. That of relay-ebpf is embedded: its build script looks in the same place.
    pub(crate) fn ebpf_object(&self, package: &str) -> PathBuf {
        self.target.join(package).with_extension("o")
    }

    pub(crate) fn release(&self, program: &str) -> PathBuf {
        self.target.join("release").join(program)
    }

    /// The binary of the product.
    pub(crate) fn mcr(&self) -> PathBuf {
        self.release("mcr")
    }

    /// A cargo that knows nothing of the cargo that started us: what `cargo run` says about xtask would
    /// look like a changed environment to build scripts, and rebuild what is fresh.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        for (key, _) in env::vars_os() {
            if key.to_str().is_some_and(is_about_xtask) {
                cargo.env_remove(key);
            }
        }
        cargo
    }

    /// Whether a crate has the target (kind "bin", "test", "bench") of this name.
    pub(crate) fn has_target(&self, package: &str, kind: &str, name: &str) -> Result<bool> {
        Ok(self.targets(package, kind)?.iter().any(|target| target == name))
    }

    /// The names of a crate's targets of a kind.
    pub(crate) fn targets(&self, package: &str, kind: &str) -> Result<Vec<String>> {
        let metadata = step::capture(self.cargo().args(["metadata", "--no-deps", "--format-version=1"]))?;
        let metadata: serde_json::Value = serde_json::from_str(&metadata).context("cargo metadata is not JSON")?;
        let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
        let targets = packages.iter().filter(|p| p["name"] == package).filter_map(|p| p["targets"].as_array());
        let of_kind = |t: &&serde_json::Value| t["kind"].as_array().is_some_and(|k| k.contains(&kind.into()));
        Ok(targets.flatten().filter(of_kind).filter_map(|t| t["name"].as_str().map(str::to_owned)).collect())
    }
}

fn is_about_xtask(key: &str) -> bool {
    key.starts_with("CARGO_PKG_")
        || key.starts_with("CARGO_BIN_EXE_")
        || ["CARGO", "CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_PRIMARY_PACKAGE"].contains(&key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cargo_says_about_xtask_is_taken_away() {
        assert!(is_about_xtask("CARGO_PKG_VERSION"));
        assert!(is_about_xtask("CARGO"));
        assert!(!is_about_xtask("CARGO_HOME"));
        assert!(!is_about_xtask("CARGO_NET_OFFLINE"));
    }

    #[test]
    fn targets_are_found_by_package_kind_and_name() {
        let workspace = Workspace::find().unwrap();
        assert!(workspace.has_target("relay-userspace", "bin", "mcr").unwrap());
        assert!(!workspace.has_target("relay-userspace", "test", "mcr").unwrap());
        assert!(!workspace.has_target("bench", "bin", "mcr").unwrap());
    }
}
