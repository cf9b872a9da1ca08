//! Says where the eBPF object is that the binary embeds.

use std::{
    env,
    path::{Path, PathBuf},
};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_EMBED_EBPF").is_none() {
        return;
    }
    println!("cargo::rerun-if-env-changed=MCR_EBPF_OBJECT");
    println!("cargo::rerun-if-env-changed=CARGO_TARGET_DIR");
    let object = object();
    println!("cargo::rerun-if-changed={}", object.display());
    if object.is_file() {
        println!("cargo::rustc-env=MCR_EBPF_OBJECT={}", object.display());
    } else {
        println!(
            "cargo::error=the eBPF program is not built ({} is missing): run `cargo xtask build`, or build without it by \
             --no-default-features",
            object.display()
        );
    }
}

/// What the environment names, else where `cargo xtask build-ebpf` leaves it.
fn object() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let workspace = workspace.canonicalize().unwrap_or(workspace);
    match env::var_os("MCR_EBPF_OBJECT") {
        Some(object) => workspace.join(object),
        None => {
            let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
            workspace.join(target).join("relay-ebpf.o")
        }
    }
}
