//! The thread of the API: it answers while control is busy, and control goes on whatever is asked.

use super::access::Peer;
use super::connection::{made_room, serve, turn_away};
use super::denied;
use super::limits::{Counts, Limits, THREADS};
use super::listen::{self, Sockets, Tcp, Unix};
use super::places::{Places, Room};
use super::routes;
use super::shared::Api;
use super::sight::Sight;
use super::tls::{self, NoCertificate};
use super::wanted;
use anyhow::Context as _;
use axum::Router;
use relay_config::Http;
use relay_control::certificate::Certificate;
use relay_control::desk::Desk;
use relay_control::handover::{Begins, Handover, Listening};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixListener};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// The running API. Dropped, it ends: clients have a second for what they are at, and the socket's file goes unless another
/// control has the socket.
#[derive(Debug)]
pub struct Server {
    counts: Arc<Counts>,
    tcp: Option<SocketAddr>,
    ending: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    handover: Handover,
}

/// The sockets, open, before anybody is answered: until then they may take rights that answering does not.
pub struct Opened {
    sockets: Sockets,
    tcp: Option<SocketAddr>,
    /// Or why it cannot be had.
    certificate: Result<Option<Certificate>, String>,
}

/// Opens the sockets, or goes on with those that the control before this one has given. What cannot be had is told once the
/// API has started, and tried again: packets flow without it.
///
/// # Errors
/// When nobody could ask this node and nothing runs yet, with the key of the configuration and what to do.
pub fn open(http: &Http, given: Option<&Listening>, begins: Begins) -> anyhow::Result<Opened> {
    let sockets = listen::open(http, given, begins)?;
    let tcp = match &sockets.tcp {
        Tcp::Open(listener) => Some(listener.local_addr().context("http.listen")?),
        Tcp::Wanted(_, why) => {
            tracing::warn!("{why}; until then the API answers at its Unix socket only");
            None
        }
        Tcp::Off => None,
    };
    let certificate = http.tls.as_ref().map(Certificate::open).transpose().map_err(|error| format!("{error:#}"));
    if let Some(address) = tcp.filter(|tcp| http.tls.is_none() && !tcp.ip().to_canonical().is_loopback())
        && !http.tokens.is_empty()
    {
        tracing::warn!(%address, "whoever listens on the network reads tokens: set http.tls, or put a proxy before it");
    }
    Ok(Opened { sockets, tcp, certificate })
}

/// Starts to answer. The file says one thing, and another may have been opened: where nobody asked for an address that is
/// taken, it is left out.
///
/// # Errors
/// When the system has no thread for it.
pub fn start(opened: Opened, file: &Http, http: &Http, desk: Desk, sight: Arc<dyn Sight>) -> anyhow::Result<Server> {
    start_within(Limits::default(), opened, (file, http), desk, sight)
}

/// The same with other limits.
pub(super) fn start_within(
    limits: Limits,
    opened: Opened,
    (file, http): (&Http, &Http),
    desk: Desk,
    sight: Arc<dyn Sight>,
) -> anyhow::Result<Server> {
    let Opened { sockets, tcp, certificate } = opened;
    let (ending, ends) = watch::channel(false);
    let (certificate, lacks_tls) = certificate.map_or_else(|why| (None, Some(why)), |held| (held, None));
    let opened = Http { listen: http.listen.filter(|_| tcp.is_some()), ..http.clone() };
    desk.http.begin(file, &opened, certificate);
    let handover = desk.handover.clone();
    if let Some(listening) = sockets.to_give().context("cannot start the API")? {
        handover.listening(listening);
    }
    let api = Api::new(desk, sight, limits, ends).context("cannot start the API")?;
    wanted::tell_first(&api, &sockets.unix, &sockets.tcp, lacks_tls);
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(THREADS)
        .thread_name("mcr-http-long")
        .build()
        .context("cannot start the API")?;
    let counts = Arc::clone(&api.counts);
    let thread = std::thread::Builder::new()
        .name("mcr-http".to_owned())
        .spawn(move || {
            if let Err(error) = run(&runtime, sockets, api) {
                tracing::error!("the API ended: {error}");
            }
            runtime.shutdown_timeout(Duration::from_millis(100));
        })
        .context("cannot start the thread of the API")?;
    Ok(Server { counts, tcp, ending, thread: Some(thread), handover })
}

impl Server {
    /// What the API has counted.
    #[must_use]
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// The TCP address that it answers at.
    #[must_use]
    pub fn tcp(&self) -> Option<SocketAddr> {
        self.tcp
    }

    /// Ends it, and waits until it has ended: little more than a second, whatever clients do.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.ending.send(true); // Nobody listens if the thread has ended.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // What it had to say is in the log.
        }
        self.handover.has_ended();
    }
}

fn run(runtime: &Runtime, sockets: Sockets, api: Api) -> io::Result<()> {
    runtime.block_on(async move {
        let Sockets { unix, tcp } = sockets;
        let router = routes::served(api.clone());
        let Limits { tcp: all, unix: by_unix, share, probes, .. } = api.limits;
        let by_tcp = Places::new(Room { all, share, probes });
        // Who may open the socket may do everything: nobody there is kept from it by another user's share.
        let by_unix = Places::new(Room { all: by_unix, share: by_unix, probes });
        tokio::select! {
            ended = accept_unix(unix, &api, &router, &by_unix) => ended?,
            ended = accept_tcp(tcp, &api, &router, &by_tcp) => ended?,
            () = tls::follow(&api) => {}
            () = ending(&api) => {}
        }
        let everybody = async { tokio::join!(by_unix.empty(), by_tcp.empty()) };
        // Where another control follows in this process, others wait for that.
        let Limits { ending, handing_over, .. } = api.limits;
        let patience = if api.desk.handover.is_kept() { handing_over } else { ending };
        let _ = timeout(patience, everybody).await; // Who is not done now is cut off.
        Ok(())
    })
}

async fn ending(api: &Api) {
    let _ = api.ending.clone().wait_for(|ending| *ending).await; // A sender that is gone means the same.
}

async fn accept_unix(unix: Unix, api: &Api, router: &Router, places: &Places) -> io::Result<()> {
    let (listener, place, lacks_group) = wanted::unix(unix, api).await?;
    tokio::select! {
        () = take_unix(&listener, api, router, places) => Ok(()),
        () = wanted::group(lacks_group, &place, api) => Ok(()),
    }
}

async fn take_unix(listener: &UnixListener, api: &Api, router: &Router, places: &Places) {
    loop {
        let Some((stream, _)) = accepted(listener.accept().await).await else { continue };
        let Ok(credentials) = stream.peer_cred() else { continue };
        let peer = Peer::Unix { uid: credentials.uid(), pid: credentials.pid().unwrap_or(0) };
        receive(stream, peer, api, router, places);
        // Whoever makes room for this one goes before the next is let in.
        yield_now().await;
    }
}

async fn accept_tcp(tcp: Tcp, api: &Api, router: &Router, places: &Places) -> io::Result<()> {
    let listener = wanted::tcp(tcp, api).await?;
    loop {
        let Some((stream, peer)) = accepted(listener.accept().await).await else { continue };
        let Ok(local) = stream.local_addr() else { continue };
        let _ = stream.set_nodelay(true); // Slower, but right without.
        let peer = Peer::Tcp { peer, local };
        match tls::acceptor(&api.desk.http) {
            Ok(Some(tls)) => receive_encrypted(stream, peer, &tls, api, router, places),
            Ok(None) => receive(stream, peer, api, router, places),
            // Nobody is answered in plain where the file says otherwise.
            Err(NoCertificate) => _ = api.counts.requests.turned_away.fetch_add(1, Relaxed),
        }
        yield_now().await;
    }
}

/// A client that has to agree on keys first, in the time that it has for the head of a request.
fn receive_encrypted(stream: TcpStream, peer: Peer, tls: &TlsAcceptor, api: &Api, router: &Router, places: &Places) {
    let Some(place) = places.take(client(peer)) else {
        // To tell it so would cost more than to serve it.
        api.counts.requests.turned_away.fetch_add(1, Relaxed);
        return;
    };
    let (agreeing, api, router) = (tls.accept(stream), api.clone(), router.clone());
    tokio::spawn(async move {
        let agreed = tokio::select! {
            agreed = timeout(api.limits.head_time, agreeing) => agreed,
            () = place.needed() => return made_room(&api),
        };
        // One that speaks otherwise, or hangs up, is no news.
        if let Ok(Ok(stream)) = agreed {
            serve(stream, peer, api, router, place).await;
        }
    });
}

fn receive<T>(stream: T, peer: Peer, api: &Api, router: &Router, places: &Places)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    if let Some(place) = places.take(client(peer)) {
        tokio::spawn(serve(stream, peer, api.clone(), router.clone(), place));
        return;
    }
    api.counts.requests.turned_away.fetch_add(1, Relaxed);
    if let Ok(permit) = Arc::clone(&api.turned_away).try_acquire_owned() {
        tokio::spawn(turn_away(stream, api.clone(), permit));
    }
}

/// Whose place it is.
fn client(peer: Peer) -> String {
    match peer {
        Peer::Unix { uid, .. } => format!("uid {uid}"),
        Peer::Tcp { peer, .. } => denied::client(peer),
    }
}

/// A client, or after a while none: without descriptors or memory, trying at once would be the only thing done.
async fn accepted<T>(accepted: io::Result<T>) -> Option<T> {
    match accepted {
        Ok(client) => Some(client),
        Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) => None,
        Err(error) => {
            tracing::warn!("the API cannot take a client: {error}");
            sleep(Duration::from_millis(200)).await;
            None
        }
    }
}
