//! Control dies at a named point, for tests: the feature `chaos` builds it. The first process that comes to the point that
//! the file of `MCR_CHAOS_DIE` names removes that file and kills itself, as nothing can be prepared for.

/// A point that control comes to.
#[cfg(not(feature = "chaos"))]
pub(super) const fn at(_: &str) {}

/// A point that control comes to.
#[cfg(feature = "chaos")]
pub(super) fn at(point: &str) {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    let Some(file) = std::env::var_os("MCR_CHAOS_DIE") else { return };
    if std::fs::read_to_string(&file).is_ok_and(|wanted| wanted == point) {
        // Whoever comes after it lives.
        let _ = std::fs::remove_file(&file);
        let _ = kill(Pid::this(), Signal::SIGKILL);
    }
}
