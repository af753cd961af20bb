//! The sections about what comes back: the listener and the folders, other systems' mailboxes, what providers tell.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::mail::is_loopback;
use super::section::Section;
use crate::inbound::mailbox::Protocol;
use crate::inbound::webhook::Provider;
use crate::smtp::Tls;

/// `[inbound]`: the ways by which mail comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbound {
    /// Where SMTP and LMTP are listened for; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// A Maildir folder to take mails from.
    pub maildir: Option<PathBuf>,
    /// How often the folder is looked into.
    pub poll_ms: i64,
    /// Largest mail that is taken.
    pub mail_bytes_max: u64,
    /// Mailboxes to take mails out of.
    pub mailboxes: Vec<InboundMailbox>,
}

/// `[[inbound.mailbox]]`: a mailbox of another mail system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundMailbox {
    pub protocol: Protocol,
    pub host: String,
    pub port: u16,
    pub tls: Tls,
    pub username: String,
    /// The file that holds the password, on its first line.
    pub password_file: PathBuf,
    /// PEM certificates to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// IMAP's folder.
    pub folder: String,
    pub poll_ms: i64,
}

impl InboundMailbox {
    fn read(s: &mut Section<'_>) -> InboundMailbox {
        let protocol = s.parsed("protocol", "\"imap\" or \"pop3\"").unwrap_or(Protocol::Imap);
        let host = s.need("host", "name the server that has the mailbox");
        let tls = s.parsed("tls", "\"none\", \"starttls\" or \"implicit\"").unwrap_or(Tls::Implicit);
        if tls == Tls::None && !host.is_empty() && !is_loopback(&host) {
            let what = format!("= \"none\" would send the password in the clear to {host}");
            s.fault("tls", &what, "write tls = \"starttls\" or \"implicit\"; none is for this machine only");
        }
        let file = s.need("password_file", "name the file with the password on its first line");
        InboundMailbox {
            protocol,
            port: s.number("port", 0, u16::MAX).unwrap_or(protocol.port(tls)),
            tls,
            username: s.need("username", "write the name that the mailbox is opened with"),
            password_file: s.resolve(&file),
            ca_file: s.path("ca_file"),
            folder: s.text("folder").unwrap_or_else(|| "INBOX".to_owned()),
            poll_ms: s.duration_ms("poll", 1).unwrap_or(60_000),
            host,
        }
    }

    /// What it is called in logs and in what is remembered of it.
    pub fn name(&self) -> String {
        format!("{}://{}@{}:{}/{}", self.protocol, self.username, self.host, self.port, self.folder)
    }
}

impl Inbound {
    pub(super) fn read(s: &mut Section<'_>) -> Inbound {
        Inbound {
            listen: s.parsed("listen", "an address and a port such as \"127.0.0.1:2525\""),
            maildir: s.path("maildir"),
            poll_ms: s.duration_ms("poll", 1).unwrap_or(1_000),
            mail_bytes_max: s.number("mail_bytes_max", 1 << 16, 1 << 30).unwrap_or(10 << 20),
            mailboxes: s
                .sections("mailbox")
                .into_iter()
                .map(|mut mailbox| {
                    let read = InboundMailbox::read(&mut mailbox);
                    mailbox.finish();
                    read
                })
                .collect(),
        }
    }
}

/// `[[webhook]]`: a mail provider that may tell us what became of mails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    pub provider: Option<Provider>,
    /// The end of its address, `/w/PROVIDER/NAME`.
    pub name: String,
    /// The file whose first line is the secret shared with the provider.
    pub secret_file: Option<PathBuf>,
    /// The file with the provider's public key or certificate.
    pub public_key_file: Option<PathBuf>,
    /// The one SNS topic that is listened to.
    pub topic_arn: Option<String>,
}

impl Webhook {
    pub(super) fn read(s: &mut Section<'_>) -> Webhook {
        let known = || Provider::ALL.iter().map(|provider| provider.as_str()).collect::<Vec<_>>().join(", ");
        let had = s.text("provider");
        let provider = had.as_deref().and_then(|text| text.parse().ok());
        if provider.is_none() {
            s.fault("provider", "is missing or none that we know", &format!("write one of {}", known()));
        }
        let name = s.need("name", "give it a name: the provider is told PUBLIC_URL/w/PROVIDER/NAME");
        if !name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.')) || name.len() > 64 {
            s.fault("name", "does not fit in an address", "use letters, digits, -, _ and ., at most 64");
        }
        let webhook = Webhook {
            provider,
            name,
            secret_file: s.path("secret_file"),
            public_key_file: s.path("public_key_file"),
            topic_arn: s.text("topic_arn"),
        };
        webhook.look(s);
        webhook
    }

    /// Where it is told: `/w/PROVIDER/NAME`.
    pub fn path(&self) -> String {
        format!("/w/{}/{}", self.provider.map_or("?", Provider::as_str), self.name)
    }

    /// Every provider proves itself in its own way.
    fn look(&self, s: &Section<'_>) {
        let (needs, has, fix) = match self.provider {
            None => return,
            Some(Provider::Ses) => ("topic_arn", self.topic_arn.is_some(), "write the ARN of the SNS topic"),
            Some(Provider::SendGrid) => {
                ("public_key_file", self.public_key_file.is_some(), "name the file with the verification key")
            }
            Some(_) => ("secret_file", self.secret_file.is_some(), "name the file with the secret on its first line"),
        };
        if !has {
            s.fault(needs, "is missing", fix);
        }
        let is_ses = self.provider == Some(Provider::Ses);
        for (key, there) in [
            ("secret_file", self.secret_file.is_some() && needs != "secret_file"),
            ("public_key_file", self.public_key_file.is_some() && needs == "secret_file"),
            ("topic_arn", self.topic_arn.is_some() && !is_ses),
        ] {
            if there {
                s.fault(key, "is not how this provider proves itself", "remove it");
            }
        }
    }
}
