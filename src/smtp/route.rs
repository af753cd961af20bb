//! Where mail goes: a smarthost, how to reach it, how long to wait for it, and which certificates to trust.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

crate::text_enum! {
    /// How a route is encrypted.
    pub enum Tls {
        /// Not at all: to this machine only.
        None = "none",
        /// Port 587 or 25: plain until STARTTLS, which must be offered (RFC 3207).
        StartTls = "starttls",
        /// Port 465: TLS from the first byte (RFC 8314).
        Implicit = "implicit",
    }
}

/// One way out.
#[derive(Debug, Clone)]
pub struct Route {
    pub name: String,
    /// A host name or an address; with TLS the certificate must name it.
    pub host: String,
    pub port: u16,
    pub tls: Tls,
    pub credentials: Option<Credentials>,
    /// What we call ourselves in EHLO: a name with an address record that points back to us.
    pub hello_name: String,
    pub timeouts: Timeouts,
    /// Whether PIPELINING is used where it is offered; off for a route on which pipelined replies went missing.
    pub pipelining: bool,
    /// Certificates to trust besides the system's: a smarthost with a certificate of its own making.
    pub extra_roots: Vec<CertificateDer<'static>>,
}

impl Route {
    /// A route with the RFC's timeouts, pipelining, and no credentials.
    pub fn new(name: &str, host: &str, port: u16, tls: Tls) -> Route {
        Route {
            name: name.to_owned(),
            host: host.to_owned(),
            port,
            tls,
            credentials: None,
            hello_name: "localhost".to_owned(),
            timeouts: Timeouts::default(),
            pipelining: true,
            extra_roots: Vec::new(),
        }
    }
}

/// User name and password of a route.
#[derive(Clone)]
pub struct Credentials {
    pub username: String,
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).field("password", &"(hidden)").finish()
    }
}

/// How long each step may take. The defaults are those of RFC 5321 §4.5.3.2, which asks to wait at least so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Name look-up and TCP connect; then, anew, the TLS handshake.
    pub connect: Duration,
    pub banner: Duration,
    /// EHLO, HELO, STARTTLS.
    pub hello: Duration,
    pub auth: Duration,
    pub mail: Duration,
    pub rcpt: Duration,
    /// DATA until its 354.
    pub data: Duration,
    /// Each write of content that makes no progress.
    pub block: Duration,
    /// From the final dot to its reply. A shorter one makes doubles: the server may have accepted (RFC 1047).
    pub dot: Duration,
    /// RSET and QUIT.
    pub rset: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        Timeouts {
            connect: Duration::from_secs(30),
            banner: minutes(5),
            hello: minutes(5),
            auth: minutes(5),
            mail: minutes(5),
            rcpt: minutes(5),
            data: minutes(2),
            block: minutes(3),
            dot: minutes(10),
            rset: Duration::from_secs(20),
        }
    }
}

impl Timeouts {
    /// The same wait for every step: for tests.
    pub fn all(wait: Duration) -> Timeouts {
        Timeouts {
            connect: wait,
            banner: wait,
            hello: wait,
            auth: wait,
            mail: wait,
            rcpt: wait,
            data: wait,
            block: wait,
            dot: wait,
            rset: wait,
        }
    }
}

/// The certificates we trust, read once, and the TLS settings made from them.
pub struct TlsConfigs {
    roots: RootCertStore,
    shared: Arc<ClientConfig>,
}

impl TlsConfigs {
    /// Reads the system's certificates; blocking. Without any, routes with TLS fail to verify unless they bring their
    /// own: the second value says what could not be read.
    pub fn native() -> (TlsConfigs, Vec<String>) {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        let mut troubles: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        if roots.is_empty() {
            troubles.push("the system has no CA certificates (package ca-certificates)".to_owned());
        }
        (TlsConfigs::with_roots(roots), troubles)
    }

    /// Trusts nothing but what a route brings along.
    pub fn none() -> TlsConfigs {
        TlsConfigs::with_roots(RootCertStore::empty())
    }

    fn with_roots(roots: RootCertStore) -> TlsConfigs {
        let shared = Arc::new(config(roots.clone()));
        TlsConfigs { roots, shared }
    }

    /// The settings that trust the system's certificates alone.
    pub fn shared(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.shared)
    }

    /// The settings for `route`. Routes without certificates of their own share one, and its session tickets.
    pub(super) fn of(&self, route: &Route) -> Arc<ClientConfig> {
        self.trusting(&route.extra_roots)
    }

    /// The settings that trust `more` besides the system's certificates.
    pub fn trusting(&self, more: &[CertificateDer<'static>]) -> Arc<ClientConfig> {
        if more.is_empty() {
            return self.shared();
        }
        let mut roots = self.roots.clone();
        roots.add_parsable_certificates(more.iter().cloned());
        Arc::new(config(roots))
    }
}

fn config(roots: RootCertStore) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs knows TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
