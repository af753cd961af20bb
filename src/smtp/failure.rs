//! What went wrong on the wire, at which step, and whether the mail may have been delivered all the same.

use std::io;

use super::reply::Reply;

crate::text_enum! {
    /// The step of the conversation that failed.
    pub enum Stage {
        Connect = "connect",
        Tls = "tls",
        Banner = "banner",
        Hello = "hello",
        Auth = "auth",
        Mail = "mail",
        Rcpt = "rcpt",
        Data = "data",
        /// The mail's content was on its way; its end was not.
        Body = "body",
        Dot = "dot",
        Rset = "rset",
        Quit = "quit",
    }
}

/// How a step failed.
#[derive(Debug, thiserror::Error)]
pub enum Kind {
    /// The server answered, and the answer is no.
    #[error("the server answered {0}")]
    Refused(Reply),
    #[error("the connection was lost: {0}")]
    Lost(#[source] io::Error),
    #[error("the server did not answer in time")]
    TimedOut,
    /// The server answered what no SMTP server answers here.
    #[error("the server broke the protocol: {0}")]
    Protocol(String),
    /// We refused before a byte left: the route, the envelope or the mail is not fit to send.
    #[error("not sent: {0}")]
    Unfit(String),
}

/// A step of the conversation that failed.
#[derive(Debug, thiserror::Error)]
#[error("SMTP {stage}: {kind}")]
pub struct Failure {
    pub stage: Stage,
    #[source]
    pub kind: Kind,
    /// Whether the first byte of the final CRLF.CRLF may have been taken by TLS or the socket.
    pub dot_written: bool,
}

impl Failure {
    /// A failure before any dot.
    pub fn new(stage: Stage, kind: Kind) -> Failure {
        Failure { stage, kind, dot_written: false }
    }

    /// Whether the server may hold the mail although we have no answer: the dot left and nothing definite came back.
    pub fn in_doubt(&self) -> bool {
        self.dot_written && !matches!(self.kind, Kind::Refused(_))
    }

    /// The server's answer, where there was one.
    pub fn reply(&self) -> Option<&Reply> {
        match &self.kind {
            Kind::Refused(reply) => Some(reply),
            _ => None,
        }
    }

    /// Whether an answer never came although the connection stood. Twice in a row on a pipelining connection it means
    /// that something on the way does not carry pipelined commands; a server that closes is only a server that closes.
    pub fn is_missing_reply(&self) -> bool {
        matches!(self.kind, Kind::TimedOut) && (Stage::Mail..=Stage::Dot).contains(&self.stage)
    }
}
