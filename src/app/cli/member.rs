//! `indicia member`: one member as the daemon knows them: shown, written out, forgotten.

use std::fmt::{self, Display};

use jiff::Timestamp;

use super::{Exit, Failure, Session};
use crate::app::lock::StateLock;
use crate::app::tag_rules::tag_rules;
use crate::domain::address::{AddrSecret, Email};
use crate::domain::member::Member;
use crate::domain::suppression::SuppressionReason;
use crate::flow::forget;
use crate::flow::profile::{self, EventLine, Mail, Order, Profile, TagLine};
use crate::store::{Lane, member, setting, suppression};

/// Look at members, write out what is held of them, forget them
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show a member: profile, consents, tags with the events behind them, mails received, orders
    Show {
        /// The member's address, in any letter case
        email: String,
    },
    /// Write out everything held of a member, as one JSON object
    Export {
        /// The member's address, in any letter case
        email: String,
    },
    /// Forget a member: only a keyed hash of the address stays, on the suppression list, and counts of nobody
    Erase {
        /// The member's address, in any letter case
        email: String,
    },
}

pub async fn run(command: Command, session: &Session) -> Result<Exit, Failure> {
    match command {
        Command::Show { email } => show(&email, session).await,
        Command::Export { email } => export(&email, session).await,
        Command::Erase { email } => erase(&email, session).await,
    }
}

/// An address of the command line.
pub(super) fn address(text: &str) -> Result<Email, Failure> {
    Email::parse(text).map_err(|error| Failure::new(format!("{text:?} {error}")))
}

/// What this database's addresses are hashed with.
pub(super) async fn addr_secret(session: &Session) -> Result<AddrSecret, Failure> {
    let mut tx = session.db.begin(Lane::Bulk).await?;
    let secret = setting::addr_secret(tx.conn(), &session.world).await?;
    tx.commit().await?;
    Ok(secret)
}

/// The live member with this address.
async fn find(text: &str, session: &Session) -> Result<Member, Failure> {
    let (email, secret) = (address(text)?, addr_secret(session).await?);
    let mut reader = session.db.reader().await?;
    member::by_email(reader.conn(), &secret, &email).await?.ok_or_else(|| unknown(&email))
}

async fn export(text: &str, session: &Session) -> Result<Exit, Failure> {
    let member = find(text, session).await?;
    let mut reader = session.db.reader().await?;
    session.print(&forget::dossier(reader.conn(), member).await?)?;
    Ok(Exit::Done)
}

async fn erase(text: &str, session: &Session) -> Result<Exit, Failure> {
    let (email, secret) = (address(text)?, addr_secret(session).await?);
    let key = secret.key(&email);
    let mut reader = session.db.reader().await?;
    let member = member::by_addr_key(reader.conn(), key).await?;
    let entries = suppression::of_address(reader.conn(), key).await?;
    drop(reader);
    if member.is_none() && !entries.iter().any(|entry| entry.reason == SuppressionReason::Erased) {
        return Err(unknown(&email));
    }
    let mut erased = forget::erase(&session.db, &email, key, member.as_ref(), session.now_ms()).await?;
    // Rows once moved about may have left copies. Where no daemon works, the file can be written anew at leisure.
    let path = session.db.sqlite_path().filter(|_| !erased.traces.is_empty());
    if let Some((path, _lock)) = path.and_then(|path| Some((path, StateLock::take(path).ok()?))) {
        session.db.rewrite().await?;
        erased.traces = forget::traces(path, &email);
    }
    let words = match erased.member {
        true => format!("erased; returned mails thrown away: {}", erased.strays),
        false => format!("was erased before; returned mails thrown away: {}", erased.strays),
    };
    session.show(&erased, words)?;
    if erased.traces.is_empty() {
        return Ok(Exit::Done);
    }
    Err(Failure::new(format!("the address still stands in {}", erased.traces.join(" and ")))
        .fix("stop the daemon and run the same command again: the file must be written anew, which takes a while"))
}

fn unknown(email: &Email) -> Failure {
    Failure::new(format!("no member has the address {}", email.as_str()))
        .fix("check its spelling, or import the member first: indicia import members FILE")
}

async fn show(text: &str, session: &Session) -> Result<Exit, Failure> {
    let rules = tag_rules(&session.config)?;
    let member = find(text, session).await?;
    let mut reader = session.db.reader().await?;
    let now_ms = session.now_ms();
    let profile = profile::profile(reader.conn(), member, &rules, now_ms).await?;
    session.show(&profile, Words(&profile))?;
    Ok(Exit::Done)
}

/// A profile for people to read.
struct Words<'a>(&'a Profile);

impl Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Words(p) = self;
        let m = &p.member;
        let name: Vec<&str> = [&m.first_name, &m.last_name].into_iter().flatten().map(String::as_str).collect();
        writeln!(f, "member {}  {}  {}", m.id, m.email, name.join(" "))?;
        writeln!(f, "  locale {}, zone {}, market {}", m.locale, m.zone, or_none(&m.market))?;
        let last = m.last_order_at_ms.map_or_else(|| "never".to_owned(), time);
        writeln!(f, "  points {}, orders {}, last order {last}", m.points, m.orders)?;
        for (name, value) in &m.attributes {
            writeln!(f, "  attr.{name} = {value}")?;
        }
        heading(f, "consent", p.topics.is_empty())?;
        for topic in &p.topics {
            writeln!(f, "  {:<12} {} since {}", topic.topic, topic.state, time(topic.at_ms))?;
        }
        if !p.suppressions.is_empty() {
            heading(f, "suppressed", false)?;
        }
        for entry in &p.suppressions {
            writeln!(f, "  {:<12} {} from {} since {}", entry.scope, entry.reason, entry.source, time(entry.at_ms))?;
        }
        heading(f, "tags", p.tags.is_empty())?;
        p.tags.iter().try_for_each(|tag| write_tag(f, tag))?;
        heading(f, "mails", p.mails.is_empty())?;
        p.mails.iter().try_for_each(|mail| write_mail(f, mail))?;
        heading(f, "orders", p.latest_orders.is_empty())?;
        p.latest_orders.iter().try_for_each(|order| write_order(f, order))
    }
}

fn heading(f: &mut fmt::Formatter<'_>, words: &str, none: bool) -> fmt::Result {
    writeln!(f, "{words}{}", if none { ": none" } else { "" })
}

fn write_tag(f: &mut fmt::Formatter<'_>, tag: &TagLine) -> fmt::Result {
    let fades = tag.half_life_ms.map_or("never fades".to_owned(), |ms| format!("halves in {}", span(ms)));
    writeln!(f, "  {:<28} {:>7.3}  {fades}", tag.key, tag.score)?;
    for event in &tag.events {
        let (weight, worth) = (event.weight.unwrap_or_default(), event.worth.unwrap_or_default());
        writeln!(f, "    {}  +{weight} now {worth:.3}  {}{}", time(event.at_ms), event.name, about(event))?;
    }
    Ok(())
}

/// What an event was about, in words.
fn about(event: &EventLine) -> String {
    let mut about = String::new();
    for (before, what) in [(" of ", &event.product), (" on ", &event.link), (" in ", &event.campaign)] {
        if !what.is_empty() {
            about.push_str(before);
            about.push_str(what);
        }
    }
    about
}

fn write_mail(f: &mut fmt::Formatter<'_>, mail: &Mail) -> fmt::Result {
    let line = &mail.line;
    let at = line.sent_at_ms.or(line.armed_at_ms).map_or(String::new(), |ms| format!("  {}", time(ms)));
    let why = line.why.as_deref().map_or(String::new(), |why| format!(" ({why})"));
    write!(f, "  {} message {}: {}{why}{at}", line.campaign, line.message_id, line.state)?;
    for (what, counts) in [("opens", &mail.opens), ("clicks", &mail.clicks)] {
        if !counts.is_empty() {
            let counts: Vec<String> = counts.iter().map(|(class, n)| format!("{n} {class}")).collect();
            write!(f, "  {what}: {}", counts.join(", "))?;
        }
    }
    writeln!(f, "{}", if mail.unsubscribed { "  unsubscribed" } else { "" })?;
    for product in &mail.products {
        let on = product.on.as_deref().map_or(String::new(), |on| format!(" {on}"));
        writeln!(f, "    {} {} because {}{on}", product.sku, product.name, product.why)?;
    }
    Ok(())
}

fn write_order(f: &mut fmt::Formatter<'_>, order: &Order) -> fmt::Result {
    let lines: Vec<String> = order.lines.iter().map(|line| format!("{} × {}", line.quantity, line.name)).collect();
    let amount = money(order.revenue.minor, &order.revenue.currency);
    writeln!(f, "  {} {}  {}  {amount}  {}", time(order.ordered_at_ms), order.order_id, order.status, lines.join(", "))
}

/// `12.50 EUR`, by the currency's own decimals.
fn money(minor: i64, currency: &str) -> String {
    let decimals = crate::domain::money::exponent(currency).unwrap_or(2);
    let unit = 10_i64.pow(decimals);
    let sign = if minor < 0 { "-" } else { "" };
    let (whole, rest) = (minor.abs() / unit, minor.abs() % unit);
    match decimals {
        0 => format!("{sign}{whole} {currency}"),
        _ => format!("{sign}{whole}.{rest:0width$} {currency}", width = decimals as usize),
    }
}

/// UTC, to the minute.
pub(super) fn time(ms: i64) -> String {
    Timestamp::from_millisecond(ms).unwrap_or_default().strftime("%Y-%m-%d %H:%M").to_string()
}

fn span(ms: i64) -> String {
    match ms {
        ms if ms % 86_400_000 == 0 => format!("{} d", ms / 86_400_000),
        ms if ms % 3_600_000 == 0 => format!("{} h", ms / 3_600_000),
        ms => format!("{} s", ms / 1000),
    }
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "any" } else { text }
}
