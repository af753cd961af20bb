//! `indicia segment`: who is meant, how many they are, and why one is among them.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Exit, Failure, Session};
use crate::domain::address::Email;
use crate::domain::segment::parse;
use crate::flow::audience::{self, Explanation};
use crate::store::segment::{LeafValue, Saved, list, resolve, save};
use crate::store::{Lane, member, setting};

/// Count, explain and save segments of members
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Count the live members of a segment
    Count {
        /// The segment, as in 'points >= 500 and opened(last: 30d)'
        expr: String,
        /// Guess from the hundredth part of all members that is always the same, with its interval
        #[arg(long)]
        sample: bool,
    },
    /// Say of every condition whether it holds for one member, and why
    Explain {
        /// The segment
        expr: String,
        /// The member's address
        #[arg(long, value_name = "EMAIL")]
        member: String,
    },
    /// Keep a segment under a name, for in_segment("NAME"); a changed one becomes its next version
    Save {
        /// The name
        name: String,
        /// The segment
        expr: String,
    },
    /// List the saved segments
    List,
}

pub async fn run(command: Command, session: &Session) -> Result<Exit, Failure> {
    match command {
        Command::Count { expr, sample } => count(&expr, !sample, session).await,
        Command::Explain { expr, member } => explain(&expr, &member, session).await,
        Command::Save { name, expr } => keep(&name, &expr, session).await,
        Command::List => show_list(session).await,
    }
}

async fn count(expr: &str, exact: bool, session: &Session) -> Result<Exit, Failure> {
    let mut reader = session.db.reader().await?;
    let preview = audience::preview(reader.conn(), expr, session.now_ms(), exact, 0).await?;
    say_notes(&preview.notes, session);
    let size = preview.size;
    let mut value = serde_json::to_value(size)?;
    value["segment"] = json!(preview.segment);
    value["notes"] = json!(preview.notes);
    let words = match exact {
        true if size.count == 1 => "1 member".to_owned(),
        true => format!("{} members", size.count),
        false => format!("about {} members (between {} and {})", size.count, size.low, size.high),
    };
    session.show(&value, words)?;
    Ok(Exit::Done)
}

async fn explain(expr: &str, address: &str, session: &Session) -> Result<Exit, Failure> {
    // A wrong segment is told before a wrong address.
    parse(expr)?;
    let email = Email::parse(address).map_err(|error| Failure::new(format!("--member {address:?} {error}")))?;
    let mut tx = session.db.begin(Lane::Bulk).await?;
    let secret = setting::addr_secret(tx.conn(), &session.world).await?;
    tx.commit().await?;
    let mut reader = session.db.reader().await?;
    let found = member::by_email(reader.conn(), &secret, &email).await?;
    let Some(member) = found else {
        return Err(Failure::new(format!("there is no live member with the address {address}")));
    };
    let answer = audience::why(reader.conn(), expr, member.id, session.now_ms()).await?;
    say_notes(&answer.notes, session);
    let conditions: Vec<Value> = answer
        .conditions
        .iter()
        .map(|leaf| json!({"condition": leaf.expr, "holds": leaf.holds, "value": leaf.value.as_ref().map(value_json)}))
        .collect();
    let value = json!({
        "member_id": member.id,
        "email": member.email,
        "in_segment": answer.is_in,
        "segment": answer.segment,
        "conditions": conditions,
        "notes": answer.notes,
    });
    session.show(&value, words(&member.email, &answer))?;
    Ok(Exit::Done)
}

fn words(email: &str, answer: &Explanation) -> String {
    let verdict = if answer.is_in { "is in" } else { "is not in" };
    let mut words = format!("{email} {verdict} {}", answer.segment);
    for leaf in &answer.conditions {
        let holds = if leaf.holds { "yes" } else { "no " };
        let _ = write!(words, "\n  {holds}  {}", leaf.expr);
        if let Some(value) = &leaf.value {
            let _ = write!(words, "   ({})", value_words(value));
        }
    }
    words
}

fn value_words(value: &LeafValue) -> String {
    match value {
        LeafValue::Number(number) => format!("{}", (number * 1000.0).round() / 1000.0),
        LeafValue::Instant(at_ms) => {
            jiff::Timestamp::from_millisecond(*at_ms).map_or_else(|_| at_ms.to_string(), |at| at.to_string())
        }
        LeafValue::Text(text) => format!("{text:?}"),
        LeafValue::Unset => "not set".to_owned(),
    }
}

fn value_json(value: &LeafValue) -> Value {
    match value {
        LeafValue::Number(number) => json!(number),
        LeafValue::Instant(at_ms) => json!(at_ms),
        LeafValue::Text(text) => json!(text),
        LeafValue::Unset => Value::Null,
    }
}

async fn keep(name: &str, expr: &str, session: &Session) -> Result<Exit, Failure> {
    let segment = parse(expr)?;
    let mut tx = session.db.begin(Lane::Bulk).await?;
    let saved = save(tx.conn(), name, &segment, session.now_ms()).await?;
    let resolved = resolve(tx.conn(), &segment).await?;
    tx.commit().await?;
    say_notes(&resolved.notes, session);
    session.show(&saved_json(&saved), format!("{} version {}: {}", saved.name, saved.version, saved.expr))?;
    Ok(Exit::Done)
}

async fn show_list(session: &Session) -> Result<Exit, Failure> {
    let mut reader = session.db.reader().await?;
    for saved in list(reader.conn()).await? {
        session.show(&saved_json(&saved), format!("{} (version {}): {}", saved.name, saved.version, saved.expr))?;
    }
    Ok(Exit::Done)
}

fn saved_json(saved: &Saved) -> Value {
    json!({"name": saved.name, "version": saved.version, "expr": saved.expr, "created_at_ms": saved.created_at_ms})
}

fn say_notes(notes: &[String], session: &Session) {
    for note in notes {
        session.say(format_args!("note: {note}"));
    }
}
