//! What of `[http]` could not be had when the API began: packets flow without it, so it is told and tried again, each second.

use super::listen::{Place, Placed, Tcp, Unix, give_to, open_tcp, open_unix};
use super::shared::Api;
use relay_config::Http;
use relay_control::events::{Event, Kind};
use std::future::pending;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::time::sleep;

/// How often.
const AGAIN: Duration = Duration::from_secs(1);

pub(super) const LISTEN: &str = "http.listen";
pub(super) const SOCKET: &str = "http.socket";
pub(super) const GROUP: &str = "http.socket_group";
pub(super) const TLS: &str = "http.tls";

/// Tells that a key of the file cannot be had, or can by now.
pub(super) fn tell(api: &Api, key: &'static str, why: Option<String>) {
    // Nobody misses the address that counts where none is named.
    if key == LISTEN && api.desk.http.in_force().started_with().listen == Http::default().listen {
        return;
    }
    if !api.desk.http.note_lack(key, why.clone()) {
        return;
    }
    let event = match why {
        Some(why) => Event::new(Kind::HttpLacking, format!("{why}; mcr tries again each second")).with("error", why),
        None => Event::new(Kind::HttpThere, format!("{key} is as the configuration file has it")),
    };
    api.desk.events.record(event.with("key", key));
}

/// What is lacking at the beginning is told before anybody can ask.
pub(super) fn tell_first(api: &Api, unix: &Unix, tcp: &Tcp, tls: Option<String>) {
    if let Tcp::Wanted(_, why) = tcp {
        tell(api, LISTEN, Some(why.clone()));
    }
    match unix {
        Unix::Wanted(why) => tell(api, SOCKET, Some(why.clone())),
        Unix::Open(Placed { group, .. }) => tell(api, GROUP, group.clone()),
    }
    tell(api, TLS, tls);
}

/// The Unix socket, once it can be had.
pub(super) async fn unix(unix: Unix, api: &Api) -> std::io::Result<(UnixListener, Place, Option<String>)> {
    let Placed { listener, place, group } = match unix {
        Unix::Open(placed) => placed,
        Unix::Wanted(_) => unix_again(api).await?,
    };
    Ok((UnixListener::from_std(listener)?, place, group))
}

async fn unix_again(api: &Api) -> std::io::Result<Placed> {
    let Http { socket, socket_group, .. } = (**api.desk.http.in_force()).clone();
    loop {
        sleep(AGAIN).await;
        match open_unix(&socket, socket_group.as_deref()) {
            Ok(placed) => {
                // The control that follows this one goes on with it.
                api.desk.handover.listening(placed.to_give()?);
                tell(api, SOCKET, None);
                tell(api, GROUP, placed.group.clone());
                return Ok(placed);
            }
            Err(error) => tell(api, SOCKET, Some(format!("{error:#}"))),
        }
    }
}

/// Gives the socket to its group, once that can be had.
pub(super) async fn group(mut lacks: Option<String>, place: &Place, api: &Api) {
    let http = api.desk.http.in_force();
    while lacks.is_some() {
        sleep(AGAIN).await;
        lacks = give_to(place.path(), http.socket_group.as_deref()).err().map(|error| format!("{error:#}"));
        tell(api, GROUP, lacks.clone());
    }
    pending().await
}

/// The TCP listener, once its address can be had.
pub(super) async fn tcp(tcp: Tcp, api: &Api) -> std::io::Result<TcpListener> {
    let address = match tcp {
        Tcp::Off => return pending().await,
        Tcp::Open(listener) => return TcpListener::from_std(listener),
        Tcp::Wanted(address, _) => address,
    };
    loop {
        sleep(AGAIN).await;
        match open_tcp(address) {
            Ok(listener) => {
                api.desk.handover.hears(listener.try_clone()?.into());
                api.desk.http.heard(address);
                tell(api, LISTEN, None);
                tracing::info!(%address, "the API answers by TCP too");
                return TcpListener::from_std(listener);
            }
            Err(error) => tell(api, LISTEN, Some(format!("{error:#}"))),
        }
    }
}
