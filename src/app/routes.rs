//! From configuration to the wire: routes with their passwords and certificates read, and how fast each provider is
//! served over each.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use super::config::{self, Config, Signer};
use super::library::Shelf;
use super::mailbox::RunningMailbox;
use crate::base::metrics::Metrics;
use crate::domain::provider::{Pace, ProviderError, ProviderTable};
use crate::flow::handover::{Health, Jobs, RouteLink, Tally};
use crate::smtp::{self, Credentials};

/// Connections to the built-in mailbox.
const MAILBOX_CONNECTIONS: usize = 8;
/// How long a route that failed is left alone: first, and at most.
const ROUTE_PAUSE_FIRST_MS: i64 = 500;
const ROUTE_PAUSE_LAST_MS: i64 = 15_000;
/// Largest password file, bytes.
const PASSWORD_BYTES_MAX: usize = 4_096;

/// What is wrong with a file that a route or a rule names. Never quotes it.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    #[error("could not read {} ({key} of route {route:?}): {source}", file.display())]
    Read { route: String, key: &'static str, file: PathBuf, source: std::io::Error },
    #[error("{} (password_file of route {route:?}) holds no password on its first line", file.display())]
    Password { route: String, file: PathBuf },
    #[error("{} (ca_file of route {route:?}) holds no PEM certificates: {why}", file.display())]
    Certificates { route: String, file: PathBuf, why: String },
    #[error("could not read {} ([rules] shaping): {source}", file.display())]
    Shaping { file: PathBuf, source: std::io::Error },
    #[error("{} ([rules] shaping): {source}", file.display())]
    Providers { file: PathBuf, source: ProviderError },
}

/// The route as the wire takes it.
///
/// # Errors
/// A password or certificate file that cannot be used.
pub fn smtp_route(route: &config::Route, patience: &config::Smtp) -> Result<smtp::Route, RouteError> {
    let mut out = smtp::Route::new(&route.name, &route.host, route.port, route.tls);
    out.hello_name = route.hello_name.clone().unwrap_or_else(host_name);
    out.timeouts = patience.timeouts();
    out.pipelining = route.pipelining;
    if let (Some(username), Some(file)) = (&route.username, &route.password_file) {
        let password = password(&route.name, file)?;
        out.credentials = Some(Credentials { username: username.clone(), password });
    }
    if let Some(file) = &route.ca_file {
        out.extra_roots = certificates(&route.name, file)?;
    }
    Ok(out)
}

/// The routes with their queues; the built-in mailbox where none is configured.
///
/// # Errors
/// A password or certificate file that cannot be used.
pub fn links(
    config: &Config,
    metrics: &Metrics,
    shelf: &Shelf,
    mailbox: Option<&RunningMailbox>,
) -> Result<Vec<Arc<RouteLink>>, RouteError> {
    let mut links = Vec::new();
    for configured in &config.routes {
        links.push(Arc::new(RouteLink {
            route: smtp_route(configured, &config.smtp)?,
            tally: Tally::new(metrics.clone(), &configured.name),
            jobs: Jobs::new(shelf.route_gate(configured)),
            connections: configured.connections.max(1) as usize,
            signs: configured.dkim == Signer::Indicia,
            mails_per_connection: configured.mails_per_connection,
            health: Health::new(ROUTE_PAUSE_FIRST_MS, ROUTE_PAUSE_LAST_MS),
            weight: configured.weight,
            kept_for: configured.kept_for.clone(),
        }));
    }
    if let Some(mailbox) = mailbox {
        tracing::warn!("no [[route]] is configured: every mail goes to the built-in mailbox and to nobody else");
        links.push(Arc::new(RouteLink {
            route: mailbox.route(),
            tally: Tally::new(metrics.clone(), "mailbox"),
            jobs: Jobs::new(None),
            connections: MAILBOX_CONNECTIONS,
            signs: true,
            mails_per_connection: None,
            health: Health::new(ROUTE_PAUSE_FIRST_MS, ROUTE_PAUSE_LAST_MS),
            weight: 1.0,
            kept_for: Default::default(),
        }));
    }
    Ok(links)
}

/// The password on the first line of a file; `route` names who wants it.
///
/// # Errors
/// A file that cannot be read, or holds none.
pub fn password(route: &str, file: &Path) -> Result<String, RouteError> {
    let text = std::fs::read_to_string(file).map_err(|source| RouteError::Read {
        route: route.to_owned(),
        key: "password_file",
        file: file.to_owned(),
        source,
    })?;
    match text.lines().next() {
        Some(line) if !line.is_empty() && line.len() <= PASSWORD_BYTES_MAX => Ok(line.to_owned()),
        _ => Err(RouteError::Password { route: route.to_owned(), file: file.to_owned() }),
    }
}

/// The certificates of a PEM file; `route` names who wants them.
///
/// # Errors
/// A file that cannot be read, or holds none.
pub fn certificates(route: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, RouteError> {
    let refused = |why: String| RouteError::Certificates { route: route.to_owned(), file: file.to_owned(), why };
    let found = CertificateDer::pem_file_iter(file).map_err(|error| refused(error.to_string()))?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(|error| refused(error.to_string()))?;
    if found.is_empty() { Err(refused("no BEGIN CERTIFICATE in it".to_owned())) } else { Ok(found) }
}

/// The table of providers: the file of `[rules] shaping`, else the built-in one.
///
/// # Errors
/// A file that cannot be read or is no such table.
pub fn provider_table(config: &Config) -> Result<ProviderTable, RouteError> {
    let Some(file) = &config.rules.shaping else { return Ok(ProviderTable::built_in()) };
    let text = std::fs::read_to_string(file).map_err(|source| RouteError::Shaping { file: file.clone(), source })?;
    ProviderTable::parse(&text).map_err(|source| RouteError::Providers { file: file.clone(), source })
}

/// How fast `provider` is served over `route`: what the route says, else the table unless the route takes none of it.
pub fn pace(route: &config::Route, table: &ProviderTable, provider: &str) -> Pace {
    let common = if route.shaping { table.pace(provider) } else { Pace::default() };
    match route.providers.iter().find(|limit| limit.name == provider) {
        Some(own) => Pace {
            connections: own.connections.or(common.connections),
            per_second: own.per_second.or(common.per_second),
            per_day: own.per_day.or(common.per_day),
            mails_per_connection: own.mails_per_connection.or(common.mails_per_connection),
            warm_up: own.warm_up.or(common.warm_up),
        },
        None => common,
    }
}

/// This machine's name, as the kernel has it; `localhost` where it says nothing.
pub fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "localhost".to_owned() } else { name.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::Timeouts;
    use std::time::Duration;

    fn config(text: &str, folder: &Path) -> Config {
        Config::parse(text, None, folder.to_owned(), &[]).map_err(|faults| faults.to_string()).unwrap().0
    }

    #[test]
    fn a_route_reaches_the_wire_whole() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), "s3cret\nsecond line\n").unwrap();
        let text = "[smtp]\ntimeout_dot = \"1m1ms\"\n[[route]]\nname = \"out\"\nhost = \"smtp.example.com\"\n\
                    tls = \"implicit\"\nusername = \"anna\"\npassword_file = \"secret\"\nhello_name = \"me.example\"\n\
                    pipelining = false\n";
        let config = config(text, folder.path());
        let route = smtp_route(&config.routes[0], &config.smtp).unwrap();
        assert_eq!((route.port, route.hello_name.as_str(), route.pipelining), (465, "me.example", false));
        assert_eq!(route.timeouts, Timeouts { dot: Duration::from_millis(60_001), ..Timeouts::default() });
        let credentials = route.credentials.unwrap();
        assert_eq!((credentials.username.as_str(), credentials.password.as_str()), ("anna", "s3cret"));
        std::fs::write(folder.path().join("secret"), "\n").unwrap();
        let error = smtp_route(&config.routes[0], &config.smtp).unwrap_err().to_string();
        assert!(error.contains("password_file of route \"out\""), "{error}");
    }

    #[test]
    fn a_routes_own_limit_goes_before_the_table() {
        let text = "[[route]]\nname = \"a\"\nhost = \"a.example\"\n[[route.provider]]\nname = \"gmail\"\n\
                    per_second = 0.5\n[[route]]\nname = \"b\"\nhost = \"b.example\"\nshaping = false\n";
        let config = config(text, Path::new("/"));
        let table = ProviderTable::built_in();
        let own = pace(&config.routes[0], &table, "gmail");
        assert_eq!((own.per_second, own.connections), (Some(0.5), table.pace("gmail").connections));
        assert_eq!(pace(&config.routes[0], &table, "qq"), table.pace("qq"));
        assert_eq!(pace(&config.routes[1], &table, "gmail"), Pace::default());
    }
}
