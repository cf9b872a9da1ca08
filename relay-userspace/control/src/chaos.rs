//! Control dies or hangs at a named point, or what it does there fails, for tests: the feature `chaos` builds it. The first
//! process that comes to the point that the file of `MCR_CHAOS_DIE` names removes that file and kills itself, as nothing can be
//! prepared for; where `hang` stands before the name it stays there, and where `fail` does it goes on with an error, as does
//! each that comes there where `fails` does, as long as it stands there. Where `wait` does, which several lines may say, it leaves a
//! file that ends in the point's name, and stays as long as its line stands.

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
    if waits(&wanted, point) {
        let _ = std::fs::write(std::path::Path::new(&file).with_extension(point), []);
        while waits(&std::fs::read_to_string(&file).unwrap_or_default(), point) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
    if wanted.strip_prefix("hang ").unwrap_or(&wanted) == point {
        // Whoever comes after it lives.
        let _ = std::fs::remove_file(&file);
        if wanted != point {
            std::thread::sleep(std::time::Duration::MAX);
        }
        let _ = kill(Pid::this(), Signal::SIGKILL);
    }
}

#[cfg(feature = "chaos")]
fn waits(wanted: &str, point: &str) -> bool {
    wanted.lines().any(|line| line.strip_prefix("wait ") == Some(point))
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
    if wanted.strip_prefix("fail ") == Some(point) {
        let _ = std::fs::remove_file(&file);
    } else if wanted.strip_prefix("fails ") != Some(point) {
        return Ok(());
    }
    Err(nix::errno::Errno::EIO.into())
}
