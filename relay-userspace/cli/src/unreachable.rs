//! Why control cannot be reached, and what to do about it.

use super::target::Target;
use nix::unistd::{Gid, Group};
use rustls::CertificateError;
use std::io::{Error, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

const START: &str = "is mcr running? systemctl status mcr, or start it: mcr run --config /etc/mcr/relay.toml";

/// No connection could be made.
pub(super) fn not_connected(target: &Target, error: &Error) -> String {
    match target {
        Target::Unix(path) => at_socket(path, error),
        Target::Tcp { .. } => {
            format!("cannot reach mcr at {}: {error}: {START}; and is that its [http] listen address?", target.name())
        }
    }
}

fn at_socket(path: &Path, error: &Error) -> String {
    let at = path.display();
    match error.kind() {
        ErrorKind::NotFound => format!("cannot reach mcr: there is no socket {at}: {START}"),
        ErrorKind::ConnectionRefused => format!("cannot reach mcr: nobody listens at {at}: {START}"),
        ErrorKind::PermissionDenied => format!("cannot reach mcr: permission denied on {at}: {}", allowed(path)),
        _ => format!("cannot reach mcr at {at}: {error}: {START}"),
    }
}

/// Who may use a socket, and how to become one of them.
fn allowed(path: &Path) -> String {
    let Ok(found) = std::fs::metadata(path) else {
        return "its directory is closed to this user: use sudo".to_owned();
    };
    let group = Group::from_gid(Gid::from_raw(found.gid())).ok().flatten().map(|group| group.name);
    match group {
        Some(group) if found.gid() != 0 && found.permissions().mode() & 0o020 != 0 => format!(
            "it is for root and the group {group}: join it (sudo usermod -aG {group} $USER, then log in anew), or use sudo"
        ),
        _ => "it is for its owner only: use sudo, or name a group for it in the configuration ([http] socket_group)"
            .to_owned(),
    }
}

/// The other end did not show that it is who it should be, or does not speak TLS.
pub(super) fn not_agreed(target: &Target, error: &Error) -> String {
    let name = target.name();
    let text = error.to_string();
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let remedy = match cause {
        Some(rustls::Error::InvalidCertificate(wrong)) => wrong_certificate(wrong),
        _ => "does that address speak TLS? If http.tls is not set there, write http:// in place of https://",
    };
    format!("cannot agree with {name} on TLS: {text}: {remedy}")
}

/// Never to do without TLS: a token would go over the wire as it is.
fn wrong_certificate(wrong: &CertificateError) -> &'static str {
    match wrong {
        CertificateError::UnknownIssuer => "name the certificate of its issuer: --ca-file FILE, or MCR_CA_FILE",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "use a name that stands in its certificate, or make one for this name (subjectAltName)"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "renew its certificate on the node; mcr takes the new one by itself"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "set the clocks of both machines: its certificate is not valid yet"
        }
        // openssl req -x509 makes such ones unless it is told otherwise.
        CertificateError::Other(_) if format!("{wrong:?}").contains("CaUsedAsEndEntity") => {
            "its certificate is one for signing others: make one with -addext basicConstraints=critical,CA:FALSE"
        }
        _ => "look at its certificate: openssl s_client -showcerts -connect HOST:PORT",
    }
}

/// A connection was made, but no answer came in time.
pub(super) fn too_slow(target: &Target, limit: Duration) -> String {
    format!(
        "mcr at {} did not answer within {}: does its process stand still? mcr health asks its lanes, and mcr restart puts \
         another control in its place",
        target.name(),
        spell(limit)
    )
}

/// More wait to be let in than the kernel holds.
pub(super) fn crowded(target: &Target) -> String {
    format!(
        "mcr at {} lets nobody in, and too many wait: does its process stand still? mcr health asks its lanes, and mcr \
         restart puts another control in its place",
        target.name()
    )
}

/// A connection ended before its answer.
pub(super) fn cut_off(target: &Target, error: &impl std::fmt::Display) -> String {
    format!(
        "mcr at {} ended the connection before it answered ({error}): look at its log, then ask again",
        target.name()
    )
}

fn spell(limit: Duration) -> String {
    match limit.as_millis() {
        ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_remedy() {
        let unix = Target::Unix("/run/mcr/none.sock".into());
        let told = |kind: ErrorKind| not_connected(&unix, &Error::from(kind));
        let sentence = "cannot reach mcr: there is no socket /run/mcr/none.sock: is mcr running? systemctl status mcr, or \
                        start it: mcr run --config /etc/mcr/relay.toml";
        assert_eq!(told(ErrorKind::NotFound), sentence);
        assert!(
            told(ErrorKind::ConnectionRefused).starts_with("cannot reach mcr: nobody listens at /run/mcr/none.sock:")
        );
        assert!(told(ErrorKind::PermissionDenied).ends_with("its directory is closed to this user: use sudo"));
        let tcp = Target::Tcp { host: "n".into(), port: 9280, tls: false };
        let refused = not_connected(&tcp, &Error::from(ErrorKind::ConnectionRefused));
        assert!(refused.contains("http://n:9280") && refused.contains("[http] listen"), "{refused}");
        assert!(too_slow(&unix, Duration::from_millis(500)).contains("within 500ms:"));
        assert!(too_slow(&unix, Duration::from_secs(30)).contains("within 30s:"));
    }

    #[test]
    fn a_wrong_certificate_is_never_a_reason_to_do_without() {
        let tls = Target::Tcp { host: "n".into(), port: 9280, tls: true };
        let other = CertificateError::Other(rustls::OtherError(std::sync::Arc::new(Error::other("CaUsedAsEndEntity"))));
        for (wrong, remedy) in [
            (CertificateError::UnknownIssuer, "--ca-file"),
            (CertificateError::NotValidForName, "a name that stands in its certificate"),
            (CertificateError::Expired, "renew its certificate"),
            (other, "CA:FALSE"),
            (CertificateError::BadSignature, "openssl s_client"),
        ] {
            let error = Error::new(ErrorKind::InvalidData, rustls::Error::InvalidCertificate(wrong));
            let told = not_agreed(&tls, &error);
            assert!(told.contains(remedy) && !told.contains("http://"), "{told}");
        }
        assert!(not_agreed(&tls, &Error::from(ErrorKind::InvalidData)).contains("http://"));
    }

    #[test]
    fn the_group_that_may_is_named() {
        let directory = std::env::temp_dir().join(format!("mcr-allowed-{}", std::process::id()));
        std::fs::write(&directory, "").unwrap();
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o660)).unwrap();
        let told = allowed(&directory);
        let gid = std::fs::metadata(&directory).unwrap().gid();
        std::fs::remove_file(&directory).unwrap();
        let group = Group::from_gid(Gid::from_raw(gid)).unwrap().unwrap().name;
        if gid == 0 {
            assert!(told.contains("[http] socket_group"), "{told}");
        } else {
            assert!(told.contains(&format!("usermod -aG {group}")), "{told}");
        }
    }
}
