//! HTTP/2: many requests at a time on one connection, which goes when there are none.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::sleep;

use super::serve::{ConnectionLimits, stopped, until_stopped};

/// Requests at the same time; more wait at the client.
const STREAMS: u32 = 100;
/// After how long in silence a peer must answer a ping, and within what time.
const PING: Duration = Duration::from_mins(1);
const PONG: Duration = Duration::from_secs(20);

/// Requests of one connection: how many began, and how many ended.
#[derive(Debug, Default)]
struct Activity {
    begun: AtomicU64,
    ended: AtomicU64,
}

/// A request that has begun; it has ended when this is dropped, whatever became of it.
struct Begun(Arc<Activity>);

/// Serves one connection until it ends, is idle, or the shutdown begins.
pub async fn serve<F>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    respond: impl Fn(Request<Incoming>) -> F,
    limits: ConnectionLimits,
    mut stopping: watch::Receiver<bool>,
) where
    F: Future<Output = Response> + Send + 'static,
{
    let activity = Arc::new(Activity::default());
    let service = service_fn(|request| {
        activity.begun.fetch_add(1, Ordering::Relaxed);
        let begun = Begun(Arc::clone(&activity));
        let answer = respond(request);
        async move {
            let answer = answer.await;
            drop(begun);
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(limits.max_header).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(PING))
        .keep_alive_timeout(PONG)
        .serve_connection(TokioIo::new(stream), service);
    // One signal for both reasons to end: the connection only knows "finish what there is".
    let (end, ending) = watch::channel(false);
    let mut connection = pin!(until_stopped(connection, ending));
    tokio::select! {
        () = &mut connection => return,
        () = idle(&activity, limits.header_timeout) => {
            end.send_replace(true);
            // What is still being sent has as long as any write.
            tokio::select! {
                () = &mut connection => {}
                () = sleep(limits.write_timeout) => {}
            }
            return;
        }
        () = stopped(&mut stopping) => {}
    }
    end.send_replace(true);
    connection.await;
}

/// Completes when there was no request for `patience`, or a little longer.
async fn idle(activity: &Activity, patience: Duration) {
    let mut before = None;
    loop {
        let begun = activity.begun.load(Ordering::Relaxed);
        let quiet = activity.ended.load(Ordering::Relaxed) == begun;
        if quiet && before == Some(begun) {
            return;
        }
        before = quiet.then_some(begun);
        sleep(patience).await;
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use hyper::client::conn::http2::SendRequest;
    use tokio::io::duplex;
    use tokio::task::JoinHandle;
    use tokio::time::timeout;

    use super::*;

    const LIMITS: fn() -> ConnectionLimits = || ConnectionLimits {
        header_timeout: Duration::from_millis(100),
        write_timeout: Duration::from_millis(100),
        ..ConnectionLimits::default()
    };

    /// A connection whose answers take this long.
    struct Connection {
        client: SendRequest<Body>,
        server: JoinHandle<()>,
        stop: watch::Sender<bool>,
    }

    async fn connection(takes: Duration) -> Connection {
        let (near, far) = duplex(1 << 16);
        let (stop, stopping) = watch::channel(false);
        let respond = move |_: Request<Incoming>| async move {
            sleep(takes).await;
            Response::new(Body::from("done"))
        };
        let server = tokio::spawn(serve(far, respond, LIMITS(), stopping));
        let (client, driver) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(near))
                .await
                .unwrap();
        tokio::spawn(driver);
        Connection { client, server, stop }
    }

    fn request() -> Request<Body> {
        Request::builder().uri("http://b.example/").body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn a_connection_goes_when_it_is_idle_and_not_before() {
        let mut connection = connection(Duration::from_millis(500)).await;
        let answers =
            [connection.client.send_request(request()), connection.client.send_request(request())];
        for answer in answers {
            assert_eq!(answer.await.unwrap().status(), 200);
        }
        timeout(Duration::from_secs(20), connection.server).await.unwrap().unwrap();
        assert!(connection.client.send_request(request()).await.is_err());
    }

    #[tokio::test]
    async fn a_shutdown_lets_requests_finish() {
        let mut connection = connection(Duration::from_millis(50)).await;
        let answer = tokio::spawn(connection.client.send_request(request()));
        sleep(Duration::from_millis(20)).await;
        connection.stop.send_replace(true);
        assert_eq!(answer.await.unwrap().unwrap().status(), 200);
        timeout(Duration::from_secs(20), connection.server).await.unwrap().unwrap();
    }
}
