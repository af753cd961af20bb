//! Asking others over HTTP: one request on a connection of its own, within bounds. HTTPS, or plain to this machine
//! itself; no redirect is followed.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// For everything, from the look-up of the name to the answer's last byte.
const PATIENCE: Duration = Duration::from_secs(15);
/// Longest answer that is read, bytes.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
const AGENT: HeaderValue = HeaderValue::from_static(concat!("indicia/", env!("CARGO_PKG_VERSION")));

/// Why there is no answer. Never names more of an address than its host: the rest may be a secret.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{0}")]
    Address(&'static str),
    #[error("{host} did not answer within {} seconds", PATIENCE.as_secs())]
    TimedOut { host: String },
    #[error("could not connect to {host}: {source}")]
    Connect { host: String, source: std::io::Error },
    #[error("the conversation with {host} broke: {source}")]
    Broken { host: String, source: Box<dyn std::error::Error + Send + Sync> },
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

/// An address that may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    uri: Uri,
    host: String,
    port: u16,
    is_tls: bool,
    /// Where the name leads to; `None`: where DNS says.
    to: Option<SocketAddr>,
}

impl Address {
    /// Reads an address: `https://…`, or `http://` to this machine.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Address, FetchError> {
        let uri: Uri = text.parse().map_err(|_| FetchError::Address("it is no web address"))?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(FetchError::Address("it begins neither with https:// nor with http://")),
        };
        let authority = uri.authority().ok_or(FetchError::Address("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(FetchError::Address("it holds a user name"));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if !is_tls && !is_here {
            return Err(FetchError::Address("it is plain http to another machine"));
        }
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        Ok(Address { uri, host, port, is_tls, to: None })
    }

    /// The same address, asked for at `to` whatever DNS says of its host; TLS still has to prove the host.
    pub fn at(self, to: SocketAddr) -> Address {
        Address { to: Some(to), ..self }
    }
}

/// Asks with `GET`.
///
/// # Errors
/// [`FetchError`]; a status is no error.
pub async fn get(address: &Address, tls: &Arc<ClientConfig>) -> Result<Answer, FetchError> {
    ask(address, tls, Method::GET, &[], Bytes::new()).await
}

/// Tells with `POST`.
///
/// # Errors
/// [`FetchError`]; a status is no error.
pub async fn post(
    address: &Address,
    tls: &Arc<ClientConfig>,
    headers: &[(HeaderName, HeaderValue)],
    body: Bytes,
) -> Result<Answer, FetchError> {
    ask(address, tls, Method::POST, headers, body).await
}

async fn ask(
    address: &Address,
    tls: &Arc<ClientConfig>,
    method: Method,
    headers: &[(HeaderName, HeaderValue)],
    body: Bytes,
) -> Result<Answer, FetchError> {
    let host = address.host.clone();
    let asking = async {
        let failed = |source| FetchError::Connect { host: host.clone(), source };
        let socket = match address.to {
            Some(to) => TcpStream::connect(to).await,
            None => TcpStream::connect((host.as_str(), address.port)).await,
        };
        let socket = socket.map_err(failed)?;
        let request = request(address, method, headers, body)?;
        if !address.is_tls {
            return converse(&host, socket, request).await;
        }
        let name = ServerName::try_from(host.clone()).map_err(|_| FetchError::Address("its host is no name"))?;
        let stream = TlsConnector::from(tls.clone()).connect(name, socket).await.map_err(failed)?;
        converse(&host, stream, request).await
    };
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(answer) => answer,
        Err(_) => Err(FetchError::TimedOut { host: address.host.clone() }),
    }
}

fn request(
    address: &Address,
    method: Method,
    headers: &[(HeaderName, HeaderValue)],
    body: Bytes,
) -> Result<Request<Full<Bytes>>, FetchError> {
    let path = address.uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = address.uri.authority().map_or("", |authority| authority.as_str());
    let mut request = Request::builder().method(method).uri(path).header(HOST, authority).header(USER_AGENT, AGENT);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.body(Full::new(body)).map_err(|_| FetchError::Address("it does not fit in a request"))
}

async fn converse<S>(host: &str, stream: S, request: Request<Full<Bytes>>) -> Result<Answer, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken =
        |source: Box<dyn std::error::Error + Send + Sync>| FetchError::Broken { host: host.to_owned(), source };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| broken(e.into()))?;
    let talking = async {
        let answer = sender.send_request(request).await.map_err(|e| broken(e.into()))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(broken)?;
        Ok(Answer { status, body: body.to_bytes() })
    };
    // The connection is driven as long as it is talked over, and dropped with it: nothing is left running.
    tokio::pin!(connection);
    tokio::pin!(talking);
    tokio::select! {
        biased;
        answer = &mut talking => answer,
        ended = &mut connection => match ended {
            // What came before the end may still be read.
            Ok(()) => talking.await,
            Err(source) => Err(broken(source.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_leaves_the_machine() {
        for good in ["https://hooks.example/x?y=1", "http://127.0.0.1:9/x", "http://localhost/", "http://[::1]:80/a"] {
            assert!(Address::parse(good).is_ok(), "{good}");
        }
        for bad in
            ["http://hooks.example/x", "ftp://x", "https://a:b@x/", "x", "", "/path", "http://10.0.0.1/", "https://"]
        {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
        let address = Address::parse("https://hooks.example/x").unwrap();
        assert_eq!((address.host.as_str(), address.port, address.is_tls), ("hooks.example", 443, true));
    }
}
