//! The accept loop of the public listener: plain HTTP/1.1 over hyper, every resource bounded.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::base::metrics::Metrics;

/// Longest request line and headers, bytes; longer ones are answered 431.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long the accept loop rests when the process is out of file descriptors, milliseconds.
const ACCEPT_REST_MS: u64 = 50;

/// The body of every answer: small and whole.
pub type Body = Full<Bytes>;

/// What one listener takes.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Connections at once; more wait in the kernel's backlog.
    pub connections_max: usize,
    /// For a request's head to arrive, and for a kept connection to stay silent.
    pub head_timeout: Duration,
    /// For what is under way when the listener shuts down.
    pub drain_timeout: Duration,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { connections_max: 8_192, head_timeout: Duration::from_secs(30), drain_timeout: Duration::from_secs(5) }
    }
}

/// Answers one request of a peer.
pub trait Answer: Send + Sync + 'static {
    fn answer(&self, peer: IpAddr, request: Request<Incoming>) -> impl Future<Output = Response<Body>> + Send;
}

/// Serves until `shutdown`, then lets the requests under way finish.
pub async fn serve<A: Answer>(
    listener: TcpListener,
    bounds: Bounds,
    answer: Arc<A>,
    metrics: Metrics,
    shutdown: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(bounds.connections_max));
    let mut http = http1::Builder::new();
    // Silence is watched by `silent`: hyper's own timer is set anew for every request, which costs more than the
    // request.
    http.header_read_timeout(None).max_buf_size(HEAD_BYTES_MAX).writev(false);
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &room) => accepted,
        };
        let Some((stream, peer, seat)) = accepted else { continue };
        let (http, answer, shutdown, gauge) =
            (http.clone(), answer.clone(), shutdown.clone(), metrics.connections.clone());
        let head_timeout = bounds.head_timeout;
        tokio::spawn(async move {
            gauge.inc();
            converse(http, stream, peer, answer, head_timeout, shutdown).await;
            gauge.dec();
            drop(seat);
        });
    }
    drop(listener);
    let all = u32::try_from(bounds.connections_max).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(bounds.drain_timeout, room.acquire_many(all)).await;
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, IpAddr, tokio::sync::OwnedSemaphorePermit)> {
    let seat = room.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => {
            let _ = stream.set_nodelay(true);
            Some((stream, peer.ip(), seat))
        }
        Err(error) => {
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(Duration::from_millis(ACCEPT_REST_MS)).await;
            None
        }
    }
}

async fn converse<A: Answer>(
    http: http1::Builder,
    stream: TcpStream,
    peer: IpAddr,
    answer: Arc<A>,
    head_timeout: Duration,
    shutdown: CancellationToken,
) {
    let pulse = Pulse::default();
    let service = service_fn(|request| {
        let answered = answer.answer(peer, request);
        let pulse = &pulse;
        async move {
            pulse.asked();
            let answer = answered.await;
            pulse.answered();
            Ok::<_, std::convert::Infallible>(answer)
        }
    });
    let mut conversation = pin!(http.serve_connection(TokioIo::new(stream), service));
    // A peer that breaks off or talks nonsense is no news.
    tokio::select! {
        biased;
        _ = conversation.as_mut() => {}
        () = pulse.silent(head_timeout) => {}
        () = shutdown.cancelled() => {
            conversation.as_mut().graceful_shutdown();
            let _ = conversation.await;
        }
    }
}

/// Whether a peer still asks: a request begun or under way since one last looked.
///
/// Looked at twice in a timeout instead of setting a timer for every request.
#[derive(Default)]
struct Pulse {
    under_way: AtomicBool,
    asked: AtomicBool,
}

impl Pulse {
    fn asked(&self) {
        self.under_way.store(true, Relaxed);
        self.asked.store(true, Relaxed);
    }

    fn answered(&self) {
        self.under_way.store(false, Relaxed);
    }

    /// Returns when a peer has asked nothing for `timeout`, and at most half of it longer.
    async fn silent(&self, timeout: Duration) {
        let mut quiet = 0;
        while quiet < 3 {
            tokio::time::sleep(timeout / 2).await;
            let alive = self.asked.swap(false, Relaxed) || self.under_way.load(Relaxed);
            quiet = if alive { 1 } else { quiet + 1 };
        }
    }
}
