//! The wire: our own SMTP conversation, because only it can say at which step a mail failed and whether its final
//! dot may have left (RFC 5321).
//!
//! ```text
//! Connection::open ─► open_envelope(1) ─► finish(body 1, envelope 2) ─► finish(body 2, …) ─► quit
//!      banner, EHLO,     MAIL RCPT DATA      body 1 CRLF.CRLF MAIL RCPT DATA
//!      STARTTLS, AUTH    reads the 354       reads reply 1, then the next 354
//! ```
//! There is no retry and no pool in this room: a [`Failure`] says what happened, its caller decides. The other direction
//! is [`listener`], our own server, behind which stands the built-in [`mailbox`].

mod connection;
mod deliver;
mod failure;
pub mod listener;
pub mod mailbox;
mod reply;
mod route;
mod wire;

pub use connection::{Capabilities, Connection, hurried};
pub use deliver::{Envelope, Finished, Opened};
pub use failure::{Failure, Kind, Stage};
pub use reply::{Enhanced, Reply};
pub use route::{Credentials, Route, Timeouts, Tls, TlsConfigs};
