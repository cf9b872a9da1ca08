//! What a compiler says of itself decides which one builds the eBPF program.

use super::*;

const ABOUT: &str = "rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc\nrelease: 1.95.0\nLLVM version: 22.1.2\n";

fn facts_of(llvm: Option<u32>, library: Option<&str>) -> Facts {
    Facts { rustc: "rustc".into(), version: "1.95.0".into(), llvm, library: library.map(PathBuf::from) }
}

#[test]
fn the_llvm_is_read_from_what_rustc_says() {
    assert_eq!(field(ABOUT, "release"), Some("1.95.0"));
    assert_eq!(field(ABOUT, "LLVM version").and_then(major), Some(22));
    assert_eq!(field("rustc 1.95.0\n", "LLVM version"), None);
}

#[test]
fn only_source_and_fitting_llvm_together_make_a_compiler() {
    assert!(usable(facts_of(Some(22), Some("/src"))).is_some());
    assert!(usable(facts_of(Some(22), None)).is_none());
    assert!(usable(facts_of(Some(23), Some("/src"))).is_none());
    assert!(usable(facts_of(None, Some("/src"))).is_none());
}

#[test]
fn the_refusal_names_what_is_there_and_all_three_ways() {
    let text = no_compiler(&facts_of(Some(23), Some("/src")), &["rustup failed".to_owned()]);
    for part in
        ["LLVM 23", "LLVM 22", "tried: rustup failed", "rustup component add rust-src", "rustc-web rust-web-src"]
    {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    assert!(!text.contains("without the source"), "{text}");
    assert!(no_compiler(&facts_of(Some(22), None), &[]).contains("without the source of core"));
}

#[test]
fn another_version_of_a_tool_is_not_the_tool() {
    let installed =
        "[v1]\n\"bpf-linker 0.10.0 (registry+https://github.com/rust-lang/crates.io-index)\" = [\"bpf-linker\"]\n";
    assert!(lists(installed, "bpf-linker", "0.10.0"));
    assert!(!lists(installed, "bpf-linker", "0.10"));
    assert!(!lists(installed, "bpf-linker", "0.11.0"));
}
