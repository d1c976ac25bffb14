//! Connections: accepting them, bounding them, and letting them finish.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use axum::response::Response;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::stream::Impatient;
use super::tls::{self, Tls};
use super::writes::Writes;
use super::{App, layers, multiplex};

/// After how long in silence a peer is asked whether it is still there, and how often again.
const KEEP_ALIVE: Duration = Duration::from_mins(1);

/// What connections may cost.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Open at the same time; who comes later waits in the listener's queue.
    pub max_connections: usize,
    /// From a connection to the end of the TLS handshake.
    pub handshake_timeout: Duration,
    /// From an open or idle connection to the end of the next request's head.
    pub header_timeout: Duration,
    /// Bytes of a request's head.
    pub max_header: usize,
    /// How long a write may wait for a peer that takes nothing.
    pub write_timeout: Duration,
    /// How long requests in flight, and writes that their requests have left behind, may go on after
    /// the shutdown has begun.
    pub drain: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(30),
            max_header: 64 * 1024,
            write_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(10),
        }
    }
}

impl ConnectionLimits {
    /// The drain that suits requests with this time: whoever came last before the shutdown has all
    /// of it, and a write that outlives its request a little more; a minute at most, since service
    /// managers do not wait for ever.
    #[must_use]
    pub fn drain_for(request_timeout: Duration) -> Duration {
        (request_timeout + Duration::from_secs(5)).min(Duration::from_mins(1))
    }
}

/// After how long it is said again that connections cannot be accepted.
const TOLD_AGAIN: Duration = Duration::from_secs(10);

/// Answers on `listener`, over TLS where there is one, until `shutdown` completes: then no connection is accepted any more, idle
/// ones are closed, and requests in flight have [`ConnectionLimits::drain`] to finish.
pub async fn serve(
    listener: TcpListener,
    app: App,
    tls: Option<Arc<Tls>>,
    limits: ConnectionLimits,
    shutdown: impl Future<Output = ()>,
) {
    let writes = app.0.writes.clone();
    let respond = move |request, peer| {
        let app = app.clone();
        async move { layers::answer(&app, request, peer).await }
    };
    run(listener, respond, tls, limits, &writes, shutdown).await;
}

async fn run<F>(
    listener: TcpListener,
    respond: impl Fn(Request<Body>, IpAddr) -> F + Clone + Send + Sync + 'static,
    tls: Option<Arc<Tls>>,
    limits: ConnectionLimits,
    writes: &Writes,
    shutdown: impl Future<Output = ()>,
) where
    F: Future<Output = Response> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(limits.max_connections));
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    let mut told: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &places) => accepted,
        };
        // Finished ones are reaped here, so that the set does not grow.
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, peer, place)) => {
                let (respond, tls) = (respond.clone(), tls.clone());
                let respond = move |request: Request<Incoming>| {
                    respond(request.map(body), peer.ip().to_canonical())
                };
                let connection = connection(stream, respond, tls, limits, stopping.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: time is what helps.
                if told.is_none_or(|told| told.elapsed() > TOLD_AGAIN) {
                    told = Some(Instant::now());
                    tracing::warn!(error = %error, "a connection could not be accepted");
                }
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    stop.send_replace(true);
    let drained = timeout(limits.drain, async {
        while connections.join_next().await.is_some() {}
        writes.finished().await;
    });
    if drained.await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            writes = writes.count(),
            "requests did not finish in time; their connections are closed"
        );
        connections.shutdown().await;
    }
}

type Place = tokio::sync::OwnedSemaphorePermit;

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, Place)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return Ok((stream, peer, place)),
            // The peer went away while it waited to be accepted.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
                ) => {}
            Err(error) => return Err(error),
        }
    }
}

async fn connection<F>(
    stream: TcpStream,
    respond: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    tls: Option<Arc<Tls>>,
    limits: ConnectionLimits,
    mut stopping: watch::Receiver<bool>,
) where
    F: Future<Output = Response> + Send + 'static,
{
    if let Err(error) = prepare(&stream) {
        tracing::debug!(error = %error, "a connection's options could not be set");
    }
    let stream = Impatient::new(stream, limits.write_timeout);
    let Some(tls) = tls else { return one_by_one(stream, respond, limits, stopping).await };
    let secured = tokio::select! {
        secured = tls.accept(stream, limits.handshake_timeout) => secured,
        () = stopped(&mut stopping) => return,
    };
    match secured {
        Ok(stream) if tls::chose_http2(&stream) => {
            multiplex::serve(stream, respond, limits, stopping).await;
        }
        Ok(stream) => one_by_one(stream, respond, limits, stopping).await,
        Err(error) => tracing::debug!(error = %error, "a TLS handshake failed"),
    }
}

/// HTTP/1.1: one request after the other.
async fn one_by_one<F>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    respond: impl Fn(Request<Incoming>) -> F,
    limits: ConnectionLimits,
    stopping: watch::Receiver<bool>,
) where
    F: Future<Output = Response>,
{
    let service = service_fn(move |request| {
        let answer = respond(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_header_size(limits.max_header)
        .serve_connection(TokioIo::new(stream), service);
    until_stopped(connection, stopping).await;
}

/// Lets a connection live until it ends, or, once the shutdown has begun, until its requests do.
pub(super) async fn until_stopped<C>(connection: C, mut stopping: watch::Receiver<bool>)
where
    C: GracefulConnection<Error = hyper::Error>,
{
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = stopped(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    // The peer's doing, and often: nothing that an operator could mend.
    if let Err(error) = ended {
        tracing::debug!(error = %error, "a connection ended early");
    }
}

pub(super) async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // The sender outlives every connection; were it gone, stopping would be right too.
    let _ = stopping.wait_for(|stop| *stop).await;
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Without it a short answer waits for the peer's delayed acknowledgement.
    stream.set_nodelay(true)?;
    // A peer that is gone without a word would hold its place until something is written to it.
    let keep_alive = TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE / 4);
    SockRef::from(stream).set_tcp_keepalive(&keep_alive)
}

/// Most requests have no body; theirs is not worth a box.
fn body(incoming: Incoming) -> Body {
    if incoming.is_end_stream() { Body::empty() } else { Body::new(incoming) }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::{Notify, oneshot};
    use tokio::task::JoinHandle;

    use super::*;

    /// A server whose answers wait for `gate` where the path is `/slow`.
    struct Server {
        address: SocketAddr,
        gate: Arc<Notify>,
        /// Told whenever a request to `/slow` has arrived.
        arrived: Arc<Notify>,
        writes: Writes,
        stop: oneshot::Sender<()>,
        running: JoinHandle<()>,
    }

    /// More than the buffers between two sockets hold.
    const LARGE: usize = 32 << 20;

    async fn start(limits: ConnectionLimits) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (gate, arrived) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (stop, stopped) = oneshot::channel();
        let respond = {
            let (gate, arrived) = (Arc::clone(&gate), Arc::clone(&arrived));
            move |request: Request<Body>, _: IpAddr| {
                let (gate, arrived) = (Arc::clone(&gate), Arc::clone(&arrived));
                async move {
                    if request.uri().path() == "/slow" {
                        arrived.notify_one();
                        gate.notified().await;
                    }
                    if request.uri().path() == "/large" {
                        return Response::new(Body::from(vec![b'x'; LARGE]));
                    }
                    Response::new(Body::from("done"))
                }
            }
        };
        let writes = Writes::default();
        let counted = writes.clone();
        let running = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            run(listener, respond, None, limits, &counted, stopped).await;
        });
        Server { address, gate, arrived, writes, stop, running }
    }

    async fn send(server: &Server, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: b\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// Everything up to the end of the stream.
    async fn rest(stream: &mut TcpStream) -> String {
        let mut read = String::new();
        stream.read_to_string(&mut read).await.unwrap();
        read
    }

    async fn answer(stream: &mut TcpStream) -> String {
        let mut read = Vec::new();
        while !read.ends_with(b"done") {
            let mut piece = [0; 1024];
            let length = stream.read(&mut piece).await.unwrap();
            assert_ne!(length, 0, "the connection ended early");
            read.extend_from_slice(&piece[..length]);
        }
        String::from_utf8(read).unwrap()
    }

    #[tokio::test]
    async fn a_shutdown_lets_requests_finish_and_closes_the_idle() {
        let server = start(ConnectionLimits::default()).await;
        let mut idle = send(&server, "/quick").await;
        assert!(answer(&mut idle).await.starts_with("HTTP/1.1 200 OK"));
        let mut busy = send(&server, "/slow").await;
        server.arrived.notified().await;
        server.stop.send(()).unwrap();
        assert_eq!(rest(&mut idle).await, "");
        assert!(!server.running.is_finished());
        server.gate.notify_one();
        let last = rest(&mut busy).await;
        assert!(last.ends_with("done") && last.contains("connection: close"), "{last}");
        server.running.await.unwrap();
        assert!(TcpStream::connect(server.address).await.is_err(), "nobody listens any more");
    }

    #[tokio::test]
    async fn a_request_that_never_finishes_does_not_hold_the_shutdown_up() {
        let drain = Duration::from_millis(50);
        let server = start(ConnectionLimits { drain, ..ConnectionLimits::default() }).await;
        let mut busy = send(&server, "/slow").await;
        server.arrived.notified().await;
        server.stop.send(()).unwrap();
        server.running.await.unwrap();
        assert_eq!(rest(&mut busy).await, "");
    }

    #[tokio::test]
    async fn a_shutdown_waits_for_writes_whose_requests_are_gone() {
        let server = start(ConnectionLimits::default()).await;
        let write = server.writes.begin();
        server.stop.send(()).unwrap();
        let mut running = server.running;
        assert!(timeout(Duration::from_millis(100), &mut running).await.is_err());
        drop(write);
        running.await.unwrap();
        // Not for ever.
        let drain = Duration::from_millis(50);
        let server = start(ConnectionLimits { drain, ..ConnectionLimits::default() }).await;
        let _stuck = server.writes.begin();
        server.stop.send(()).unwrap();
        server.running.await.unwrap();
    }

    #[test]
    fn the_drain_follows_the_time_of_requests() {
        let drain = |seconds| ConnectionLimits::drain_for(Duration::from_secs(seconds)).as_secs();
        assert_eq!([drain(5), drain(30), drain(3600)], [10, 35, 60]);
    }

    #[tokio::test]
    async fn who_reads_nothing_loses_the_connection() {
        let limits = ConnectionLimits {
            max_connections: 1,
            write_timeout: Duration::from_millis(50),
            ..ConnectionLimits::default()
        };
        let server = start(limits).await;
        let mut deaf = send(&server, "/large").await;
        let more = "GET /large HTTP/1.1\r\nHost: b\r\n\r\n".repeat(3);
        deaf.write_all(more.as_bytes()).await.unwrap();
        let mut second = send(&server, "/quick").await;
        timeout(Duration::from_secs(30), answer(&mut second))
            .await
            .expect("the place of the first is free again");
        let mut taken = Vec::new();
        // Reset or closed: either way not even the first answer is whole.
        let _ = deaf.read_to_end(&mut taken).await;
        assert!(taken.len() < LARGE, "{}", taken.len());
    }

    #[tokio::test]
    async fn a_connection_is_kept_alive_and_sends_at_once() {
        let server = start(ConnectionLimits::default()).await;
        let stream = TcpStream::connect(server.address).await.unwrap();
        prepare(&stream).unwrap();
        assert!(stream.nodelay().unwrap());
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEP_ALIVE);
    }

    #[tokio::test]
    async fn who_comes_too_late_waits_for_a_place() {
        let limits = ConnectionLimits { max_connections: 1, ..ConnectionLimits::default() };
        let server = start(limits).await;
        let mut first = send(&server, "/slow").await;
        server.arrived.notified().await;
        let mut second = send(&server, "/slow").await;
        // The first is answered and goes; only then the second is heard.
        server.gate.notify_one();
        answer(&mut first).await;
        drop(first);
        server.arrived.notified().await;
        server.gate.notify_one();
        answer(&mut second).await;
    }

    #[tokio::test]
    async fn a_head_that_does_not_end_is_cut_off() {
        let limits = ConnectionLimits {
            header_timeout: Duration::from_millis(50),
            ..ConnectionLimits::default()
        };
        let server = start(limits).await;
        let mut silent = TcpStream::connect(server.address).await.unwrap();
        assert_eq!(rest(&mut silent).await, "", "no head at all");
        let mut half = TcpStream::connect(server.address).await.unwrap();
        half.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
        rest(&mut half).await;
        let server = start(ConnectionLimits { max_header: 1024, ..limits }).await;
        let mut long = TcpStream::connect(server.address).await.unwrap();
        let head = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(2048));
        long.write_all(head.as_bytes()).await.unwrap();
        let refused = rest(&mut long).await;
        assert!(refused.starts_with("HTTP/1.1 431"), "{refused:?}");
    }
}
