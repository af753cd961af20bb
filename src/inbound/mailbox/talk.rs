//! A conversation in lines with a server that is not believed: each line, each literal, each wait have a bound. The
//! whole of it has one where it is called from.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// Longest line, bytes.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// For a connection, a line, or the next piece of a literal.
const PATIENCE: Duration = Duration::from_secs(60);
const READ_BYTES: usize = 16 * 1024;

/// Why a mailbox could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TalkError {
    #[error("could not connect: {0}")]
    Connect(io::Error),
    #[error("the TLS handshake failed: {0}")]
    Tls(io::Error),
    #[error("the connection was lost: {0}")]
    Lost(io::Error),
    #[error("it was silent for {} seconds", PATIENCE.as_secs())]
    Silent,
    #[error("it had not done within {} minutes", .0.as_secs() / 60)]
    Endless(Duration),
    #[error("it said a line of more than {bytes_max} bytes")]
    LineTooLong { bytes_max: usize },
    #[error("it sent a mail of {bytes} bytes, more than {bytes_max}")]
    TooLong { bytes: u64, bytes_max: usize },
    #[error("it does not offer {0}")]
    Missing(&'static str),
    #[error("it refused to {doing}: {said}")]
    Refused { doing: &'static str, said: String },
    #[error("it said what makes no sense: {0:?}")]
    Nonsense(String),
    #[error("a name or password of ours holds a control character")]
    Unspeakable,
}

impl TalkError {
    /// Without a secret of ours that the server repeated.
    pub fn without(mut self, secret: &str) -> TalkError {
        if let TalkError::Refused { said, .. } | TalkError::Nonsense(said) = &mut self
            && !secret.is_empty()
        {
            *said = said.replace(secret, "***");
        }
        self
    }
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// A connection.
pub struct Talk {
    stream: Box<dyn Io>,
    /// What was read and not yet consumed is `input[at..]`.
    input: Vec<u8>,
    at: usize,
}

impl Talk {
    pub async fn connect(host: &str, port: u16) -> Result<TcpStream, TalkError> {
        within(async { TcpStream::connect((host, port)).await.map_err(TalkError::Connect) }).await
    }

    pub fn plain(socket: TcpStream) -> Talk {
        Talk { stream: Box::new(socket), input: Vec::new(), at: 0 }
    }

    pub async fn tls(socket: TcpStream, host: &str, config: Arc<ClientConfig>) -> Result<Talk, TalkError> {
        Talk::plain(socket).encrypt(host, config).await
    }

    /// Goes on in TLS. What came before the handshake is an injection (RFC 3501 §6.2.1) and ends the conversation.
    pub async fn encrypt(self, host: &str, config: Arc<ClientConfig>) -> Result<Talk, TalkError> {
        if self.at != self.input.len() {
            return Err(TalkError::Nonsense("more than the reply came before the TLS handshake".to_owned()));
        }
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| TalkError::Tls(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        let shake = TlsConnector::from(config).connect(name, self.stream);
        let stream = within(async { shake.await.map_err(TalkError::Tls) }).await?;
        Ok(Talk { stream: Box::new(stream), input: Vec::new(), at: 0 })
    }

    /// Writes a line; the line's end is added. What stands in it cannot begin another.
    pub async fn say(&mut self, line: &str) -> Result<(), TalkError> {
        if line.chars().any(char::is_control) {
            return Err(TalkError::Unspeakable);
        }
        let bytes = format!("{line}\r\n");
        within(async {
            self.stream.write_all(bytes.as_bytes()).await.map_err(TalkError::Lost)?;
            self.stream.flush().await.map_err(TalkError::Lost)
        })
        .await
    }

    /// The next line without its end, of at most so many bytes.
    pub async fn line(&mut self, bytes_max: usize) -> Result<Vec<u8>, TalkError> {
        let mut looked = 0;
        loop {
            let waiting = &self.input[self.at..];
            if let Some(end) = memchr::memchr(b'\n', &waiting[looked..]).map(|end| looked + end) {
                let line = waiting[..end].strip_suffix(b"\r").unwrap_or(&waiting[..end]).to_vec();
                self.at += end + 1;
                return if line.len() > bytes_max { Err(TalkError::LineTooLong { bytes_max }) } else { Ok(line) };
            }
            looked = waiting.len();
            if looked > bytes_max {
                return Err(TalkError::LineTooLong { bytes_max });
            }
            self.more().await?;
        }
    }

    /// The next line as text.
    pub async fn text(&mut self) -> Result<String, TalkError> {
        Ok(String::from_utf8_lossy(&self.line(LINE_BYTES_MAX).await?).into_owned())
    }

    /// Exactly `len` bytes.
    pub async fn exactly(&mut self, len: usize) -> Result<Vec<u8>, TalkError> {
        let mut out = Vec::with_capacity(len.min(1 << 20));
        while out.len() < len {
            if self.at == self.input.len() {
                self.more().await?;
            }
            let take = (len - out.len()).min(self.input.len() - self.at);
            out.extend_from_slice(&self.input[self.at..self.at + take]);
            self.at += take;
        }
        Ok(out)
    }

    async fn more(&mut self) -> Result<(), TalkError> {
        self.input.drain(..self.at);
        self.at = 0;
        self.input.reserve(READ_BYTES);
        let read = self.stream.read_buf(&mut self.input);
        let read = within(async { read.await.map_err(TalkError::Lost) }).await?;
        if read == 0 { Err(TalkError::Lost(io::ErrorKind::UnexpectedEof.into())) } else { Ok(()) }
    }
}

async fn within<T>(work: impl Future<Output = Result<T, TalkError>>) -> Result<T, TalkError> {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or(Err(TalkError::Silent))
}
