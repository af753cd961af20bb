//! A listener that takes HTTP requests and keeps them: a webhook's other end.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::sink::self_made_tls;

/// Longest wait for a request.
const PATIENCE: Duration = Duration::from_secs(180);

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Heard {
    pub line: String,
    /// Lower-case names.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Heard {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A running listener.
pub struct Ear {
    pub address: SocketAddr,
    /// What its TLS shows, where it speaks TLS.
    pub certificate: Option<CertificateDer<'static>>,
    heard: Arc<Mutex<Vec<Heard>>>,
    count: watch::Receiver<usize>,
}

impl Ear {
    /// Listens at `address` (port 0 for any), with TLS for `localhost` if `tls`. The first requests are answered with
    /// `first`, every other with a bare 200 and `body`.
    pub async fn start(address: SocketAddr, tls: bool, first: &'static [u16], body: &'static str) -> Ear {
        Ear::start_as(address, tls.then_some(&["localhost"] as &[&str]), first, body).await
    }

    /// The same, its TLS for other names.
    pub async fn start_as(
        address: SocketAddr,
        names: Option<&[&str]>,
        first: &'static [u16],
        body: &'static str,
    ) -> Ear {
        let (acceptor, certificate) = names.map(self_made_tls).unzip();
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let (heard, (say, count)) = (Arc::new(Mutex::new(Vec::new())), watch::channel(0));
        let kept = heard.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let nth = *say.borrow();
                let status = first.get(nth).copied().unwrap_or(200);
                let request = match &acceptor {
                    None => answer(socket, status, body).await,
                    Some(acceptor) => match acceptor.accept(socket).await {
                        Ok(stream) => answer(stream, status, body).await,
                        Err(_) => None,
                    },
                };
                if let Some(request) = request {
                    kept.lock().expect("no panic holds it").push(request);
                    say.send_modify(|n| *n += 1);
                }
            }
        });
        Ear { address, certificate, heard, count }
    }

    /// Every request so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("no panic holds it").clone()
    }

    /// Waits until so many requests have come.
    pub async fn wait_for(&self, n: usize) {
        let mut count = self.count.clone();
        let came = tokio::time::timeout(PATIENCE, count.wait_for(|came| *came >= n)).await;
        assert!(matches!(came, Ok(Ok(_))), "{n} requests did not come: {:?}", self.heard());
    }
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, status: u16, said: &str) -> Option<Heard> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break String::from_utf8(bytes[..at].to_vec()).ok()?;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let mut lines = head.lines();
    let line = lines.next()?.to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").map_or("0", |(_, value)| value.as_str());
    let end = head.len() + 4 + length.parse::<usize>().ok()?;
    while bytes.len() < end {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8(bytes[head.len() + 4..end].to_vec()).ok()?;
    let said = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{said}", said.len());
    stream.write_all(said.as_bytes()).await.ok()?;
    let _ = stream.shutdown().await;
    Some(Heard { line, headers, body })
}
