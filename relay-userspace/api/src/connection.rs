//! One client, with its deadlines: the head of a request, the reading of an answer.

use super::access::{Peer, is_probe};
use super::limits::{HEAD, SET};
use super::places::{Busy, Kind, Place};
use super::problem::{self, Problem};
use super::shared::Api;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tower::Service as _;

/// What a client is told for whom there is no room.
const NO_ROOM: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n\
    Content-Type: application/problem+json\r\nContent-Length: 138\r\n\r\n\
    {\"type\":\"/problems/unavailable\",\"title\":\"It cannot be done now\",\"status\":503,\
    \"detail\":\"too many clients are connected already: ask again\"}";

/// Tells one client that there is no room. It is heard out first, for a moment: an answer to a question that was not
/// asked yet is taken for garbage.
pub(super) async fn turn_away<T: AsyncRead + AsyncWrite + Unpin>(mut stream: T, api: Api, _room: OwnedSemaphorePermit) {
    let telling = async {
        let _ = timeout(api.limits.turning_away / 2, stream.read(&mut [0; 4096])).await;
        let _ = stream.write_all(NO_ROOM).await;
        hang_up(stream).await;
    };
    let _ = timeout(api.limits.turning_away, telling).await; // It was told, or does not want to know.
}

/// Ends a connection. Closed with something unread it would be reset, and the answer lost: that of a body that is too long
/// comes before its end.
async fn hang_up<T: AsyncRead + AsyncWrite + Unpin>(mut stream: T) {
    let _ = stream.shutdown().await;
    let mut rest = stream.take(SET as u64);
    let mut buffer = vec![0; 16 << 10];
    while rest.read(&mut buffer).await.is_ok_and(|n| n > 0) {}
}

/// Serves one client until it goes, is too slow, somebody else needs its place while it asks for nothing, or the API ends.
pub(super) async fn serve<T>(stream: T, peer: Peer, api: Api, router: Router, place: Place)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let place = Arc::new(place);
    let (held, counts) = (Arc::clone(&place), Arc::clone(&api.counts));
    let answer = hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(Arc::clone(&held));
        let (busy, is_let_in) = (held.busy(), held.kind == Kind::Any || is_probe(request.uri().path()));
        let (mut router, counts) = (router.clone(), Arc::clone(&counts));
        let answering = async move {
            if !is_let_in {
                counts.requests.turned_away.fetch_add(1, Relaxed);
                return Ok(no_room().map(|body| Counted { body, _busy: busy }));
            }
            let answered = router.call(request.map(Body::new)).await;
            answered.map(|answer| answer.map(|body| Counted { body, _busy: busy }))
        };
        answering.boxed()
    });
    let stream = TokioIo::new(Paced::new(stream, api.limits.read_time));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(api.limits.head_time)
        .max_header_size(HEAD)
        .max_buf_size(HEAD)
        .max_headers(64)
        .serve_connection(stream, answer);
    let mut ending = api.ending.clone();
    // A client that went, sent garbage or was too slow is no news.
    let end = tokio::select! {
        _ = poll_fn(|cx| connection.poll_without_shutdown(cx)) => End::Over,
        _ = ending.wait_for(|ending| *ending) => End::OfAll,
        () = place.needed() => End::MakesRoom,
    };
    if !matches!(end, End::Over) {
        Pin::new(&mut connection).graceful_shutdown();
        let rest = poll_fn(|cx| connection.poll_without_shutdown(cx));
        if matches!(end, End::MakesRoom) {
            made_room(&api);
            let _ = timeout(api.limits.turning_away, rest).await; // What it has not read of its last answer.
            return;
        }
        let _ = rest.await;
    }
    let _ = timeout(api.limits.turning_away, hang_up(connection.into_parts().io.into_inner())).await;
}

/// How the serving of a client ends.
enum End {
    Over,
    OfAll,
    MakesRoom,
}

/// Counts a client that made room for another.
pub(super) fn made_room(api: &Api) {
    api.counts.requests.made_room.fetch_add(1, Relaxed);
}

/// The answer to whoever has a place for probes, and asks for something else.
fn no_room() -> Response<Body> {
    let detail = "too many clients are connected already: ask again";
    let mut answer = Problem::new(problem::Kind::Unavailable, detail).into_response();
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// A body, for as long as whose its client is busy.
struct Counted {
    body: Body,
    _busy: Busy,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream whose reader has only so long for all that was written before the last flush: who reads byte by byte is
/// as slow as who does not read.
struct Paced<T> {
    stream: T,
    most: Duration,
    late: Pin<Box<Sleep>>,
    waits: bool,
}

impl<T> Paced<T> {
    fn new(stream: T, most: Duration) -> Self {
        Self { stream, most, late: Box::pin(sleep(most)), waits: false }
    }

    /// After a write: a reader that must be waited for is waited for until its time is over.
    fn judge<V>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<V>>) -> Poll<io::Result<V>> {
        if written.is_ready() {
            return written;
        }
        if !self.waits {
            self.waits = true;
            let until = Instant::now() + self.most;
            self.late.as_mut().reset(until);
        }
        ready!(self.late.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the answer was not read in time")))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Paced<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Paced<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes when it has written all it has: then the reader is up to date.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.waits = false;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
