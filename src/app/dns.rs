//! Questions to the domain name system.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

use crate::flow::servers::MailServers;

/// Longest wait for one server's answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often one question is asked.
const ATTEMPTS: usize = 2;

/// Why a question has no answer. That there is no such record is an answer: an empty one.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    #[error("no DNS server could be set up: {0}")]
    Start(NetError),
    #[error("DNS gave no answer about {name}: {source}")]
    Ask { name: String, source: NetError },
}

/// A resolver; cheap to clone.
#[derive(Clone)]
pub struct Dns(TokioResolver);

impl Dns {
    /// A resolver that asks `servers`, or those of this machine where none is given.
    ///
    /// # Errors
    /// When this machine names none either.
    pub fn new(servers: &[SocketAddr]) -> Result<Dns, DnsError> {
        let mut builder = if servers.is_empty() {
            TokioResolver::builder_tokio().map_err(DnsError::Start)?
        } else {
            let servers = servers.iter().map(server).collect();
            TokioResolver::builder_with_config(
                ResolverConfig::from_name_servers(servers),
                TokioRuntimeProvider::default(),
            )
        };
        let options = builder.options_mut();
        (options.timeout, options.attempts) = (PATIENCE, ATTEMPTS);
        builder.build().map(Dns).map_err(DnsError::Start)
    }

    /// The TXT records of a name, each joined from its pieces.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn texts(&self, name: &str) -> Result<Vec<String>, DnsError> {
        let text = |data: &RData| match data {
            RData::TXT(text) => Some(String::from_utf8_lossy(&text.txt_data.concat()).into_owned()),
            _ => None,
        };
        self.ask(name, RecordType::TXT, text).await
    }

    /// The mail servers of a domain, the most preferred first; `"."` where it says that it takes no mail (RFC 7505).
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn mail_servers(&self, domain: &str) -> Result<Vec<String>, DnsError> {
        let server = |data: &RData| match data {
            RData::MX(mx) => Some((mx.preference, mx.exchange.to_ascii())),
            _ => None,
        };
        let mut servers = self.ask(domain, RecordType::MX, server).await?;
        servers.sort();
        Ok(servers.into_iter().map(|(_, server)| server).collect())
    }

    /// The addresses of a host.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, DnsError> {
        if let Ok(ip) = host.trim_matches(['[', ']']).parse() {
            return Ok(vec![ip]);
        }
        let mut all = self.ask(host, RecordType::A, RData::ip_addr).await?;
        all.extend(self.ask(host, RecordType::AAAA, RData::ip_addr).await?);
        Ok(all)
    }

    /// The names an address points back to, without the dot at their end.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn names(&self, ip: IpAddr) -> Result<Vec<String>, DnsError> {
        let pointer = |data: &RData| match data {
            RData::PTR(name) => Some(name.0.to_ascii().trim_end_matches('.').to_lowercase()),
            _ => None,
        };
        self.ask(&Name::from(ip).to_ascii(), RecordType::PTR, pointer).await
    }

    async fn ask<T>(
        &self,
        name: &str,
        kind: RecordType,
        read: impl Fn(&RData) -> Option<T>,
    ) -> Result<Vec<T>, DnsError> {
        let whole = format!("{}.", name.trim_end_matches('.'));
        match self.0.lookup(whole, kind).await {
            Ok(found) => Ok(found.answers().iter().filter_map(|record| read(&record.data)).collect()),
            Err(error) if error.is_no_records_found() => Ok(Vec::new()),
            Err(source) => Err(DnsError::Ask { name: name.to_owned(), source }),
        }
    }
}

impl MailServers for Dns {
    async fn of(&self, domain: &str) -> Option<Vec<String>> {
        self.mail_servers(domain).await.ok()
    }
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let on_port = |mut way: ConnectionConfig| {
        way.port = address.port();
        way
    };
    NameServerConfig::new(address.ip(), true, vec![on_port(ConnectionConfig::udp()), on_port(ConnectionConfig::tcp())])
}
