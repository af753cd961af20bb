//! Bytes in and out: a socket, plain or TLS, one read buffer, and a true count of what the transport took.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::failure::Kind;
use super::reply::Reply;

const READ_BYTES: usize = 4096;

pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

pub(super) struct Wire {
    stream: Stream,
    /// What was read and not yet consumed is `input[at..]`.
    input: Vec<u8>,
    at: usize,
}

impl Wire {
    pub(super) fn new(stream: Stream) -> Wire {
        Wire { stream, input: Vec::with_capacity(READ_BYTES), at: 0 }
    }

    pub(super) fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// The bare socket, for STARTTLS. Bytes that came before the handshake are an injection (RFC 3207 §6).
    pub(super) fn into_plain(self) -> Result<TcpStream, Kind> {
        match self.stream {
            Stream::Plain(socket) if self.at == self.input.len() => Ok(socket),
            _ => Err(Kind::Protocol("more than the reply came before the TLS handshake".to_owned())),
        }
    }

    /// The next reply, all its lines within `wait`.
    pub(super) async fn reply(&mut self, wait: Duration) -> Result<Reply, Kind> {
        match self.buffered_reply()? {
            Some(reply) => Ok(reply),
            None => within(wait, self.read_reply()).await,
        }
    }

    async fn read_reply(&mut self) -> Result<Reply, Kind> {
        loop {
            self.input.drain(..self.at);
            self.at = 0;
            self.input.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.input).await.map_err(Kind::Lost)? == 0 {
                return Err(Kind::Lost(io::ErrorKind::UnexpectedEof.into()));
            }
            if let Some(reply) = self.buffered_reply()? {
                return Ok(reply);
            }
        }
    }

    fn buffered_reply(&mut self) -> Result<Option<Reply>, Kind> {
        let Some((reply, used)) = Reply::parse(&self.input[self.at..]).map_err(Kind::Protocol)? else {
            return Ok(None);
        };
        self.at += used;
        Ok(Some(reply))
    }

    /// Writes one small text.
    pub(super) async fn write(&mut self, text: &[u8], wait: Duration) -> Result<(), Kind> {
        self.write_all(&mut [IoSlice::new(text)], wait, &mut 0).await
    }

    /// Writes all of `parts`, with one call where the transport takes it so; `wait` bounds each call. `taken` counts
    /// the bytes that the transport may have taken, also when this fails or is dropped half-way.
    pub(super) async fn write_all(
        &mut self,
        mut parts: &mut [IoSlice<'_>],
        wait: Duration,
        taken: &mut usize,
    ) -> Result<(), Kind> {
        IoSlice::advance_slices(&mut parts, 0);
        while !parts.is_empty() {
            let wrote = within(wait, async { self.stream.write_vectored(parts).await.map_err(Kind::Lost) }).await;
            match wrote {
                Ok(0) => return Err(Kind::Lost(io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    *taken += count;
                    IoSlice::advance_slices(&mut parts, count);
                }
                Err(kind) => {
                    // TLS may have sent records of what it was given before its socket failed, and cannot say so.
                    if self.is_tls() && matches!(kind, Kind::Lost(_)) {
                        *taken += parts.iter().map(|part| part.len()).sum::<usize>();
                    }
                    return Err(kind);
                }
            }
        }
        within(wait, async { self.stream.flush().await.map_err(Kind::Lost) }).await
    }

    /// Whether the peer has neither closed nor spoken. Costs no system call while nothing has happened.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let mut context = Context::from_waker(Waker::noop());
        self.at == self.input.len()
            && Pin::new(&mut self.stream).poll_read(&mut context, &mut ReadBuf::new(&mut byte)).is_pending()
    }
}

pub(super) async fn within<T>(wait: Duration, work: impl Future<Output = Result<T, Kind>>) -> Result<T, Kind> {
    tokio::time::timeout(wait, work).await.unwrap_or(Err(Kind::TimedOut))
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
