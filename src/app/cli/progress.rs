//! Progress and reports, as a person at a terminal sees them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

use super::Session;
use crate::domain::message::MessageState;
use crate::flow::report::{Progress, Report};

/// A campaign's bar: on a terminal, and only there.
pub struct Bar(Option<ProgressBar>);

/// A bar for a waiting command.
pub fn bar(session: &Session) -> Bar {
    if session.json || !std::io::stderr().is_terminal() {
        return Bar(None);
    }
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{msg:24} [{bar:40}] {pos}/{len} {per_sec} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    Bar(Some(bar))
}

impl Bar {
    /// Moves the bar to where the campaign stands.
    pub fn at(&self, progress: &Progress) {
        let Some(bar) = &self.0 else { return };
        let open: i64 = [MessageState::Queued, MessageState::Leased, MessageState::Armed]
            .iter()
            .filter_map(|state| progress.by_state.get(state))
            .sum();
        bar.set_length(progress.frozen.max(0) as u64);
        bar.set_position((progress.frozen - open).max(0) as u64);
        bar.set_message(format!("{} {}", progress.campaign, progress.state));
    }

    pub fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// A report in words, under its first `line`.
pub fn words(report: &Report, line: String) -> String {
    let mut out = line;
    section(&mut out, "left out of the freeze", &report.progress.excluded);
    section(&mut out, "reasons", &report.progress.reasons);
    let by_class = |counts: &crate::flow::report::ByClass| {
        counts.iter().map(|(class, n)| format!("{n} {class}")).collect::<Vec<_>>().join(", ")
    };
    let _ = write!(out, "\n  opened by    {}", by_class(&report.opens));
    let _ = write!(out, "\n  clicked by   {}", by_class(&report.clicks));
    let _ = write!(out, "\n  unsubscribed {}", report.unsubscribed);
    let _ = write!(out, "\n  complaints   {}", report.complaints);
    if let Some(share) = report.rates.complained.filter(|share| *share > 0.0) {
        let _ = write!(out, " ({:.2} % of the delivered)", share * 100.0);
    }
    for version in &report.templates {
        let _ = write!(out, "\n  template     {} version {}: {} mails", version.template, version.version, version.n);
    }
    for block in &report.blocks {
        let _ = write!(
            out,
            "\n  block        {} {}: {} shown, {} clicked, {} bought",
            block.strategy, block.slot, block.shown, block.clicked, block.bought
        );
    }
    for doubt in &report.in_doubt {
        let _ = write!(
            out,
            "\n  in doubt     message {} to {}",
            doubt.message_id,
            doubt.email.as_deref().unwrap_or("(erased)")
        );
    }
    out
}

fn section(out: &mut String, title: &str, counts: &BTreeMap<String, i64>) {
    if counts.is_empty() {
        return;
    }
    let _ = write!(out, "\n  {title}:");
    for (reason, n) in counts {
        let _ = write!(out, " {reason} {n}");
    }
}
