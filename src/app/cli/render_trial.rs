//! `indicia render-trial`: the limited process in which a template is rendered before it is published.

use super::{Exit, Failure, Global};
use crate::flow::publish::run_trial;

/// Render a template given on stdin with sample members, under limits (used by `template push`)
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct Command {}

pub async fn run(_: Command, _: &Global) -> Result<Exit, Failure> {
    run_trial(std::io::stdin().lock(), std::io::stdout().lock())?;
    Ok(Exit::Done)
}
