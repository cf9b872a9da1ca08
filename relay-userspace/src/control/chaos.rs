//! Control dies or hangs at a named point, or what it does there fails, for tests: the feature `chaos` builds it. The first
//! process that comes to the point that the file of `MCR_CHAOS_DIE` names removes that file and kills itself, as nothing can be
//! prepared for; where `hang` stands before the name it stays there, and where `fail` does it goes on with an error.

/// A point that control comes to.
#[cfg(not(feature = "chaos"))]
pub(super) const fn at(_: &str) {}

/// A point that control comes to.
#[cfg(feature = "chaos")]
pub(super) fn at(point: &str) {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    let Some(file) = std::env::var_os("MCR_CHAOS_DIE") else { return };
    let wanted = std::fs::read_to_string(&file).unwrap_or_default();
    if wanted.strip_prefix("hang ").unwrap_or(&wanted) == point {
        // Whoever comes after it lives.
        let _ = std::fs::remove_file(&file);
        if wanted != point {
            std::thread::sleep(std::time::Duration::MAX);
        }
        let _ = kill(Pid::this(), Signal::SIGKILL);
    }
}

/// A point at which something can fail.
///
/// # Errors
/// That it is to fail, as a disk does.
#[cfg(not(feature = "chaos"))]
pub(super) const fn fails(_: &str) -> std::io::Result<()> {
    Ok(())
}

/// A point at which something can fail.
///
/// # Errors
/// That it is to fail, as a disk does.
#[cfg(feature = "chaos")]
pub(super) fn fails(point: &str) -> std::io::Result<()> {
    let Some(file) = std::env::var_os("MCR_CHAOS_DIE") else { return Ok(()) };
    let wanted = std::fs::read_to_string(&file).unwrap_or_default();
    if wanted.strip_prefix("fail ") != Some(point) {
        return Ok(());
    }
    let _ = std::fs::remove_file(&file);
    Err(nix::errno::Errno::EIO.into())
}
