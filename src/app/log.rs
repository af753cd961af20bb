//! Logs go to stderr, as lines of text or of JSON.

use tracing_subscriber::EnvFilter;

use super::config::LogFormat;

/// Starts logging at `level` (a level, or directives of `tracing`). A second call changes nothing.
pub fn start(level: &str, format: LogFormat) {
    let filter = EnvFilter::builder().parse(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Only another subscriber can be in the way, and then it has the lines.
    let _ = match format {
        LogFormat::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
}
