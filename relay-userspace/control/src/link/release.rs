//! Which kernel this is.

use relay_common::release::Release;

/// Its name, as `uname -r` says it; empty when it does not tell.
#[must_use]
pub fn name() -> String {
    nix::sys::utsname::uname().map_or_else(|_| String::new(), |name| name.release().display().to_string())
}

/// Its release; `None` when its name begins with no version, so that nothing can be said of it by its number.
#[must_use]
pub fn running() -> Option<Release> {
    let uname = nix::sys::utsname::uname().ok()?;
    // Only Ubuntu's kernels have it.
    let signature = std::fs::read_to_string("/proc/version_signature").unwrap_or_default();
    Release::parse(&uname.release().to_string_lossy(), &uname.version().to_string_lossy(), &signature)
}
