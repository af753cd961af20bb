//! `indicia shaping list | suspend | resume`

use serde::Serialize;
use serde_json::json;

use super::{Exit, Failure, Session};
use crate::app::config::parse_ms;
use crate::flow::report::Slowed;
use crate::store::gate::{self, GateRow};
use crate::store::{Lane, provider};

/// How fast each provider is served over each route, and who is left alone for now
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List what was sent to through each gate: its rate, its mails of today, why and until when it is closed
    List,
    /// Send a provider no mail for a while
    Suspend {
        provider: String,
        /// Over this route alone
        #[arg(long)]
        route: Option<String>,
        /// For how long, such as 30m or 2h
        #[arg(long = "for", value_name = "DURATION", default_value = "1h", value_parser = duration_ms)]
        for_ms: i64,
    },
    /// Send it mail again, and forget the rate that was learnt
    Resume {
        provider: String,
        /// Over this route alone
        #[arg(long)]
        route: Option<String>,
    },
}

fn duration_ms(text: &str) -> Result<i64, String> {
    parse_ms(text).map_err(str::to_owned)
}

/// A gate as it is shown.
#[derive(Debug, Serialize)]
struct Shown {
    route: String,
    /// `null`: the route as a whole, or a campaign.
    provider: Option<String>,
    /// Mails per second at most; `null`: no bound.
    per_second: Option<f64>,
    /// The rate that was learnt from the provider's answers.
    learnt_per_second: Option<f64>,
    /// Mails of its day at most; while it warms up this grows.
    per_day: Option<i64>,
    taken_today: i64,
    closed_until_ms: Option<i64>,
    why: Option<String>,
}

impl Shown {
    fn of(row: GateRow, now_ms: i64) -> Shown {
        let is_closed = row.closed_until_ms > now_ms;
        Shown {
            taken_today: row.taken_on(now_ms),
            provider: Some(row.provider).filter(|name| !name.is_empty()),
            route: row.route,
            per_second: (row.step_us > 0).then(|| (1_000_000_000.0 / row.step_us as f64).round() / 1_000.0),
            learnt_per_second: row.learnt,
            per_day: row.cap_day,
            closed_until_ms: is_closed.then_some(row.closed_until_ms),
            why: row.why.filter(|_| is_closed || row.learnt.is_some()),
        }
    }

    fn line(&self) -> String {
        let provider = self.provider.as_deref().unwrap_or("(all)");
        let rate = self.per_second.map_or("no bound".to_owned(), |rate| format!("{rate:.2}/s"));
        let learnt = if self.learnt_per_second.is_some() { " (learnt)" } else { "" };
        let day = match self.per_day {
            Some(cap) => format!("{} of {cap} today", self.taken_today),
            None => format!("{} today", self.taken_today),
        };
        let closed =
            self.closed_until_ms.map_or(String::new(), |until_ms| format!("  closed until {}", time(until_ms)));
        let why = self.why.as_deref().map_or(String::new(), |why| format!(": {why}"));
        format!("{:<16} {provider:<16} {rate}{learnt}, {day}{closed}{why}", self.route)
    }
}

/// A slowed provider in words.
pub fn slowed(slowed: &Slowed) -> String {
    let Slowed { route, provider, closed_until_ms, why, per_second } = slowed;
    let why = why.as_deref().map_or(String::new(), |why| format!(": it {why}"));
    match (closed_until_ms, per_second) {
        (Some(until_ms), _) => format!("{provider} over route {route} gets no mail until {}{why}", time(*until_ms)),
        (None, Some(rate)) => format!("{provider} over route {route} gets at most {rate:.2} mails a second{why}"),
        (None, None) => format!("{provider} over route {route}{why}"),
    }
}

fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |at| format!("{at:.0}"))
}

pub async fn run(command: Command, session: &Session) -> Result<Exit, Failure> {
    let now_ms = session.now_ms();
    match command {
        Command::List => {
            let mut reader = session.db.reader().await?;
            for row in gate::all(reader.conn()).await? {
                let shown = Shown::of(row, now_ms);
                session.show(&shown, shown.line())?;
            }
            Ok(Exit::Done)
        }
        Command::Suspend { provider, route, for_ms } => {
            let until_ms = now_ms + for_ms;
            set(session, &provider, route.as_deref(), Some(until_ms)).await
        }
        Command::Resume { provider, route } => set(session, &provider, route.as_deref(), None).await,
    }
}

/// Closes or opens a provider's gates by hand.
async fn set(session: &Session, name: &str, route: Option<&str>, until_ms: Option<i64>) -> Result<Exit, Failure> {
    let routes: Vec<&str> = session.config.routes.iter().map(|route| route.name.as_str()).collect();
    if let Some(route) = route.filter(|route| !routes.contains(route)) {
        return Err(Failure::new(format!("there is no route {route:?}")).fix(format!("one of: {}", routes.join(", "))));
    }
    let mut tx = session.db.begin(Lane::Bulk).await?;
    let known = provider::all(tx.conn()).await?;
    let Some((id, _)) = known.iter().find(|(_, known)| known == name) else {
        let names: Vec<&str> = known.iter().map(|(_, name)| name.as_str()).collect();
        return Err(
            Failure::new(format!("no member is at a provider {name:?}")).fix(format!("one of: {}", names.join(", ")))
        );
    };
    for route in routes.iter().filter(|known| route.is_none_or(|route| route == **known)) {
        match until_ms {
            Some(until_ms) => gate::close(tx.conn(), (route, *id), until_ms, "was suspended by hand").await?,
            None => gate::open(tx.conn(), (route, *id)).await?,
        }
    }
    tx.commit().await?;
    let words = match until_ms {
        Some(until_ms) => format!("{name} gets no mail until {}", time(until_ms)),
        None => format!("{name} gets mail again"),
    };
    session.show(&json!({ "provider": name, "route": route, "closed_until_ms": until_ms }), words)?;
    Ok(Exit::Done)
}
