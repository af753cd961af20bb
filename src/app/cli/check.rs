//! `indicia check`

use serde_json::json;

use super::failure::write_out;
use super::{COMMAND_LOG_LEVEL, Exit, Failure, Global};
use crate::app::check::{self, Finding, Weight};
use crate::app::config::Config;

/// Check configuration, database, keys, rules, templates and routes: every fault, not the first
#[derive(Debug, clap::Args)]
pub struct Command {
    /// Do not try to reach the routes
    #[arg(long)]
    offline: bool,
}

pub async fn run(command: Command, global: &Global) -> Result<Exit, Failure> {
    let (file, findings) = match global.load_every_fault() {
        Ok(config) => {
            global.start_log(&config, Some(COMMAND_LOG_LEVEL));
            (named(&config), check::all(&config, !command.offline).await)
        }
        Err(faults) => (faults.file.clone(), check::of_config(&faults)),
    };
    let of = |weight| findings.iter().filter(move |finding| finding.weight == weight);
    let (faults, warnings) = (of(Weight::Fault).count(), of(Weight::Warning).count());
    if global.json {
        let lists = |weight| of(weight).collect::<Vec<&Finding>>();
        let value = json!({
            "ok": faults == 0,
            "config": file,
            "faults": lists(Weight::Fault),
            "warnings": lists(Weight::Warning),
        });
        write_out(&format!("{value}\n"))?;
    } else {
        findings.iter().for_each(|finding| eprintln!("{finding}"));
        write_out(&format!("{file}: {faults} faults, {warnings} warnings\n"))?;
    }
    Ok(if faults == 0 { Exit::Done } else { Exit::Failed })
}

pub(super) fn named(config: &Config) -> String {
    config.file.as_ref().map_or_else(|| "embedded defaults".to_owned(), |file| file.display().to_string())
}
