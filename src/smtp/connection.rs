//! Opening a connection: TCP, TLS, banner, EHLO, STARTTLS, AUTH; and closing it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_util::sync::CancellationToken;

use super::failure::{Failure, Kind, Stage};
use super::reply::Reply;
use super::route::{Credentials, Route, Timeouts, Tls, TlsConfigs};
use super::wire::{Stream, Wire, within};

/// What a server said it can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// Offered, and not switched off by the route.
    pub pipelining: bool,
    /// Largest mail in bytes; `None` where the server names none.
    pub size: Option<u64>,
    pub dsn: bool,
    pub smtputf8: bool,
    pub eight_bit_mime: bool,
    pub starttls: bool,
    pub auth_plain: bool,
    pub auth_login: bool,
}

impl Capabilities {
    fn read(ehlo: &Reply) -> Capabilities {
        let mut found = Capabilities::default();
        for line in ehlo.text.lines().skip(1) {
            let mut words = line.split([' ', '=']).filter(|word| !word.is_empty()).map(str::to_ascii_uppercase);
            match words.next().as_deref() {
                Some("PIPELINING") => found.pipelining = true,
                Some("SIZE") => found.size = words.next().and_then(|size| size.parse().ok()).filter(|size| *size > 0),
                Some("DSN") => found.dsn = true,
                Some("SMTPUTF8") => found.smtputf8 = true,
                Some("8BITMIME") => found.eight_bit_mime = true,
                Some("STARTTLS") => found.starttls = true,
                Some("AUTH") => words.for_each(|mechanism| match mechanism.as_str() {
                    "PLAIN" => found.auth_plain = true,
                    "LOGIN" => found.auth_login = true,
                    _ => {}
                }),
                _ => {}
            }
        }
        found
    }
}

/// How long a server is still waited for when its client was told to stop.
const HURRY: Duration = Duration::from_secs(1);

/// Waits until told to stop, and a moment longer.
pub async fn hurried(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(HURRY).await;
}

/// Where a connection stands between two calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// No transaction is open.
    Clean,
    /// The 354 was read; the content is awaited.
    Ready,
    /// The content was sent, all but its end.
    Told,
    /// Lost, timed out, or dropped in the middle of a call: only fit to be closed.
    Broken,
}

/// One SMTP connection. Dropping it closes the socket and says nothing to the server, which is always safe: mail whose
/// dot was not written is discarded by the server (RFC 5321 §4.1.1.10).
pub struct Connection {
    pub(super) wire: Wire,
    pub(super) capabilities: Capabilities,
    pub(super) timeouts: Timeouts,
    pub(super) state: State,
    /// Commands on their way out.
    pub(super) line: Vec<u8>,
    /// A body that needed dots.
    pub(super) stuffed: Vec<u8>,
    /// Cancelled: no reply but a dot's is waited for long.
    hurry: Option<CancellationToken>,
}

impl Connection {
    /// Connects, encrypts, greets and authenticates as `route` says.
    ///
    /// # Errors
    /// The step that failed; `dot_written` is false in all of them.
    pub async fn open(route: &Route, tls: &TlsConfigs) -> Result<Connection, Failure> {
        check(route).map_err(|kind| Failure::new(Stage::Connect, kind))?;
        let wait = route.timeouts.connect;
        let socket = within(wait, connect(route)).await.map_err(|kind| Failure::new(Stage::Connect, kind))?;
        let stream = match route.tls {
            Tls::Implicit => encrypt(socket, route, tls.of(route)).await?,
            Tls::None | Tls::StartTls => Stream::Plain(socket),
        };
        let mut connection = Connection::over(stream, route);
        let banner = connection.read(Stage::Banner).await?;
        expect(banner, Stage::Banner, 220)?;
        connection.hello(route).await?;
        if route.tls == Tls::StartTls {
            connection = connection.start_tls(route, tls.of(route)).await?;
        }
        if let Some(credentials) = &route.credentials {
            connection.authenticate(credentials).await?;
        }
        connection.state = State::Clean;
        Ok(connection)
    }

    fn over(stream: Stream, route: &Route) -> Connection {
        Connection {
            wire: Wire::new(stream),
            capabilities: Capabilities::default(),
            timeouts: route.timeouts,
            state: State::Broken,
            line: Vec::new(),
            stuffed: Vec::new(),
            hurry: None,
        }
    }

    /// EHLO, or HELO for a server that knows no better; such a one cannot encrypt or authenticate.
    async fn hello(&mut self, route: &Route) -> Result<(), Failure> {
        let reply = self.command(Stage::Hello, format!("EHLO {}\r\n", route.hello_name).as_bytes()).await?;
        if reply.positive() {
            self.capabilities = Capabilities::read(&reply);
            self.capabilities.pipelining &= route.pipelining;
            return Ok(());
        }
        let plain = route.tls != Tls::StartTls && route.credentials.is_none();
        if !(plain && reply.permanent()) {
            return Err(Failure::new(Stage::Hello, Kind::Refused(reply)));
        }
        let reply = self.command(Stage::Hello, format!("HELO {}\r\n", route.hello_name).as_bytes()).await?;
        expect(reply, Stage::Hello, 250).map(|_| ())
    }

    async fn start_tls(mut self, route: &Route, config: Arc<ClientConfig>) -> Result<Connection, Failure> {
        if !self.capabilities.starttls {
            let why = "it does not offer STARTTLS, which this route asks for".to_owned();
            return Err(Failure::new(Stage::Tls, Kind::Protocol(why)));
        }
        let reply = self.command(Stage::Tls, b"STARTTLS\r\n").await?;
        expect(reply, Stage::Tls, 220)?;
        let socket = self.wire.into_plain().map_err(|kind| Failure::new(Stage::Tls, kind))?;
        let mut connection = Connection::over(encrypt(socket, route, config).await?, route);
        connection.hello(route).await?;
        Ok(connection)
    }

    async fn authenticate(&mut self, credentials: &Credentials) -> Result<(), Failure> {
        let Credentials { username, password } = credentials;
        let reply = if self.capabilities.auth_plain {
            let response = BASE64.encode(format!("\0{username}\0{password}").as_bytes());
            self.command(Stage::Auth, format!("AUTH PLAIN {response}\r\n").as_bytes()).await?
        } else if self.capabilities.auth_login {
            let mut reply = self.command(Stage::Auth, b"AUTH LOGIN\r\n").await?;
            for answer in [username, password] {
                expect(reply, Stage::Auth, 334)?;
                reply =
                    self.command(Stage::Auth, format!("{}\r\n", BASE64.encode(answer.as_bytes())).as_bytes()).await?;
            }
            reply
        } else {
            let why = "it offers neither AUTH PLAIN nor AUTH LOGIN, and this route has a user name".to_owned();
            return Err(Failure::new(Stage::Auth, Kind::Protocol(why)));
        };
        expect(reply, Stage::Auth, 235).map(|_| ())
    }

    /// From when `stop` is cancelled, a server gets a moment for each reply instead of its whole timeout. The reply to
    /// a final dot is waited for all the same: before the dot nothing is at stake, after it everything is.
    pub fn hurry_when(&mut self, stop: CancellationToken) {
        self.hurry = Some(stop);
    }

    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// Whether another envelope may be opened: no transaction is open and nothing went wrong before.
    pub fn is_clean(&self) -> bool {
        self.state == State::Clean
    }

    /// Whether an idle connection still stands: clean, and the server has neither closed it nor spoken (a 421 on its
    /// way out). No round trip; a server that closes in this very moment is still found out by the next MAIL.
    pub fn is_alive(&mut self) -> bool {
        self.is_clean() && self.wire.is_quiet()
    }

    /// A round trip that changes nothing: keeps an idle connection from being closed.
    ///
    /// # Errors
    /// The connection is of no more use.
    pub async fn rset(&mut self) -> Result<(), Failure> {
        if self.state != State::Clean {
            return Err(Failure::new(Stage::Rset, Kind::Unfit("the connection is not idle".to_owned())));
        }
        self.state = State::Broken;
        let reply = self.command(Stage::Rset, b"RSET\r\n").await?;
        expect(reply, Stage::Rset, 250)?;
        self.state = State::Clean;
        Ok(())
    }

    /// Says goodbye and closes. A server that does not answer in time is closed all the same.
    ///
    /// # Errors
    /// For the log only: nothing depends on it.
    pub async fn quit(mut self) -> Result<(), Failure> {
        if self.state != State::Clean {
            return Ok(());
        }
        self.command(Stage::Quit, b"QUIT\r\n").await.map(|_| ())
    }

    /// Closes without another byte. After a 354 this is the only way out for a mail that must not be sent: a lone dot
    /// would deliver an empty one.
    pub fn abandon(self) {}

    pub(super) async fn command(&mut self, stage: Stage, line: &[u8]) -> Result<Reply, Failure> {
        let wait = self.wait(stage);
        self.wire.write(line, wait).await.map_err(|kind| Failure::new(stage, kind))?;
        self.read(stage).await
    }

    pub(super) async fn read(&mut self, stage: Stage) -> Result<Reply, Failure> {
        let wait = self.wait(stage);
        let reply = match self.hurry.as_ref().filter(|_| stage != Stage::Dot) {
            None => self.wire.reply(wait).await,
            Some(stop) => tokio::select! {
                biased;
                reply = self.wire.reply(wait) => reply,
                () = hurried(stop) => Err(Kind::TimedOut),
            },
        };
        reply.map_err(|kind| Failure::new(stage, kind))
    }

    pub(super) fn wait(&self, stage: Stage) -> Duration {
        let timeouts = &self.timeouts;
        match stage {
            Stage::Connect => timeouts.connect,
            Stage::Banner => timeouts.banner,
            Stage::Tls | Stage::Hello => timeouts.hello,
            Stage::Auth => timeouts.auth,
            Stage::Mail => timeouts.mail,
            Stage::Rcpt => timeouts.rcpt,
            Stage::Data => timeouts.data,
            Stage::Body => timeouts.block,
            Stage::Dot => timeouts.dot,
            Stage::Rset | Stage::Quit => timeouts.rset,
        }
    }
}

/// `reply` if it has the code that belongs here; a refusal if it is a 4xx or 5xx, else a broken protocol.
fn expect(reply: Reply, stage: Stage, code: u16) -> Result<Reply, Failure> {
    if reply.code == code {
        return Ok(reply);
    }
    let refused = reply.transient() || reply.permanent();
    let kind =
        if refused { Kind::Refused(reply) } else { Kind::Protocol(format!("{code} was due, {} came", reply.code)) };
    Err(Failure::new(stage, kind))
}

fn check(route: &Route) -> Result<(), Kind> {
    let fit = !route.hello_name.is_empty() && route.hello_name.bytes().all(|c| c.is_ascii_graphic());
    if fit { Ok(()) } else { Err(Kind::Unfit(format!("{:?} is no name for EHLO", route.hello_name))) }
}

/// The first address of the route's host that takes a connection.
async fn connect(route: &Route) -> Result<TcpStream, Kind> {
    let found = tokio::net::lookup_host((route.host.as_str(), route.port)).await.map_err(Kind::Lost)?;
    let addresses: Vec<SocketAddr> = found.collect();
    if route.tls == Tls::None && !addresses.iter().all(|address| address.ip().to_canonical().is_loopback()) {
        let why = format!("route {:?} has tls = \"none\", and {:?} is not this machine", route.name, route.host);
        return Err(Kind::Unfit(why));
    }
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(socket) => {
                socket.set_nodelay(true).map_err(Kind::Lost)?;
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(Kind::Lost(last))
}

async fn encrypt(socket: TcpStream, route: &Route, config: Arc<ClientConfig>) -> Result<Stream, Failure> {
    let refused = |kind| Failure::new(Stage::Tls, kind);
    let name = ServerName::try_from(route.host.clone())
        .map_err(|_| refused(Kind::Unfit(format!("{:?} is no name that a certificate could bear", route.host))))?;
    let shake = async { TlsConnector::from(config).connect(name, socket).await.map_err(Kind::Lost) };
    let stream = within(route.timeouts.connect, shake).await.map_err(refused)?;
    Ok(Stream::Tls(Box::new(stream)))
}
