//! From a campaign file to a run: every name looked up, real members rendered, before anything is written.

use std::path::Path;

use serde::Serialize;

use super::cli::{Failure, Fix, Session};
use super::library::Shelf;
use super::routes;

use crate::domain::campaign::{CampaignFile, MailClass, RunDoc, Variant};
use crate::domain::segment::parse;
use crate::flow::dispatch::Library;
use crate::render::{Recipient, RenderError, render_mail};
use crate::store::{Lane, history, member, run, segment, template};

/// Real members rendered before a start.
pub const REHEARSED_MAX: i64 = 200;
/// Largest campaign file, bytes.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// Faults of a rehearsal that are told.
const FAULTS_TOLD_MAX: usize = 5;

/// A campaign whose every name is known.
pub struct Prepared {
    pub doc: RunDoc,
    /// When it starts; `None` at once.
    pub at_ms: Option<i64>,
}

/// What a rehearsal found; nothing was sent.
#[derive(Debug, Serialize)]
pub struct Rehearsal {
    pub campaign: String,
    /// Live members of the segment, before consent and suppression.
    pub members: i64,
    pub rendered: i64,
    /// Members the template itself asked to skip.
    pub skipped: i64,
    pub faults: Vec<String>,
    /// Bytes of a mail on the wire, the middle one and the largest.
    pub bytes_median: usize,
    pub bytes_max: usize,
    /// How long sending takes at the configured rates, seconds; `None` where none is configured.
    pub seconds: Option<i64>,
}

/// Reads a campaign file and looks up its template, sender, topic and segment.
///
/// # Errors
/// Every fault of the file at once, with its field and the fix.
pub async fn prepare(session: &Session, path: &Path) -> Result<Prepared, Failure> {
    let shown = path.display();
    let file = read(path)?;
    let mut faults: Vec<String> = file.faults().iter().map(ToString::to_string).collect();
    let resolved = resolve(session, &file, &mut faults).await?;
    match resolved {
        Some(doc) if faults.is_empty() => Ok(Prepared { doc, at_ms: file.starts_at_ms().unwrap_or_default() }),
        _ => Err(Failure::new(format!("{shown} has {} fault(s):\n  {}", faults.len(), faults.join("\n  ")))
            .fix("mend the file; nothing was started")),
    }
}

fn read(path: &Path) -> Result<CampaignFile, Failure> {
    let unread = |error: std::io::Error| Failure::new(format!("could not read {}: {error}", path.display()));
    if std::fs::metadata(path).map_err(unread)?.len() > FILE_BYTES_MAX {
        return Err(Failure::new(format!("{} is larger than {FILE_BYTES_MAX} bytes", path.display())));
    }
    let text = std::fs::read_to_string(path).map_err(unread)?;
    toml::from_str(&text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let line = text[..at.min(text.len())].lines().count().max(1);
        Failure::new(format!("{}:{line}: {}", path.display(), error.message()))
            .fix("a campaign file has name, template, segment, topic, sender, at, holdout, rate, [[variant]]")
    })
}

async fn resolve(session: &Session, file: &CampaignFile, faults: &mut Vec<String>) -> Result<Option<RunDoc>, Failure> {
    let mut reader = session.db.reader().await?;
    let (mut variants, mut found) = (Vec::new(), Vec::new());
    for entry in file.variants() {
        match template::latest(reader.conn(), &entry.template).await? {
            Some(version) => {
                variants.push(Variant {
                    name: entry.name,
                    template: entry.template,
                    template_version_id: version.id,
                    share: entry.share,
                });
                found.push(version);
            }
            None => faults.push(format!(
                "template: there is no template {:?}; publish it with `indicia template push`",
                entry.template
            )),
        }
    }
    match parse(&file.segment) {
        Ok(parsed) => {
            if let Err(error) = segment::resolve(reader.conn(), &parsed).await {
                faults.push(format!("segment: {error}"));
            }
        }
        Err(error) => faults.push(format!("segment: {error}")),
    }
    let sender = sender(session, file, faults);
    let Some(first) = found.first() else { return Ok(None) };
    if found.iter().any(|version| version.class != first.class) {
        faults.push("variant: marketing and transactional templates do not mix in one campaign".to_owned());
    }
    let class: MailClass = first.class.parse()?;
    let topic = file.topic.clone().unwrap_or_else(|| first.topic.clone());
    if class == MailClass::Marketing && topic.is_empty() {
        faults.push("topic: is missing; marketing mail needs the topic its readers consented to".to_owned());
    }
    Ok(Some(RunDoc {
        campaign: file.name.clone(),
        class,
        topic,
        sender: sender.unwrap_or_default(),
        segment: file.segment.clone(),
        holdout: file.holdout.unwrap_or(0.0),
        rate: file.rate,
        variants,
    }))
}

fn sender(session: &Session, file: &CampaignFile, faults: &mut Vec<String>) -> Option<String> {
    let senders = &session.config.senders;
    let names = || senders.iter().map(|sender| sender.name.as_str()).collect::<Vec<_>>().join(", ");
    let found = match &file.sender {
        Some(name) => senders.iter().find(|sender| sender.name == *name),
        None => senders.first().filter(|_| senders.len() == 1),
    };
    if found.is_none() {
        faults.push(match (&file.sender, senders.len()) {
            (_, 0) => "sender: the configuration has no [[sender]]; add one".to_owned(),
            (Some(name), _) => format!("sender: there is no [[sender]] {name:?}; there are: {}", names()),
            (None, _) => format!("sender: is missing, and there are several: {}", names()),
        });
    }
    found.map(|sender| sender.name.clone())
}

/// Writes an approved run down; `None` when the campaign's name is taken.
///
/// # Errors
/// The database's.
///
/// # Crash
/// The campaign and its run, or neither.
pub async fn approve(session: &Session, prepared: &Prepared) -> Result<Option<i64>, Failure> {
    let now_ms = session.now_ms();
    let seed = (session.world.random() >> 1) as i64;
    let mut tx = session.db.begin(Lane::Bulk).await?;
    let id = run::create(tx.conn(), &prepared.doc, seed, prepared.at_ms.unwrap_or(now_ms), now_ms).await?;
    tx.commit().await?;
    Ok(id)
}

/// Counts the segment and renders up to [`REHEARSED_MAX`] of its members, chosen by lot, exactly as they would be sent.
///
/// # Errors
/// The database's; what does not render is in [`Rehearsal::faults`].
pub async fn rehearse(session: &Session, doc: &RunDoc) -> Result<Rehearsal, Failure> {
    let now_ms = session.now_ms();
    let keyring = session.keyring()?;
    let shelf = shelf(session)?;
    let mut reader = session.db.reader().await?;
    let resolved = segment::resolve(reader.conn(), &parse(&doc.segment)?).await?;
    let members = segment::count(reader.conn(), &resolved, now_ms).await?;
    let ids = segment::sample(reader.conn(), &resolved, now_ms, REHEARSED_MAX).await?;
    let profiles = member::profiles(reader.conn(), &ids).await?;
    drop(reader);
    let histories = history::load(&session.db, &ids, now_ms).await?;
    let stationery = shelf.stationery(0, &doc.campaign, &doc.topic, doc.class, &doc.sender)?;
    let catalog = shelf.catalog().await?;
    let draws = doc.draws(1);
    let mut rehearsal = Rehearsal {
        campaign: doc.campaign.clone(),
        members,
        rendered: 0,
        skipped: 0,
        faults: Vec::new(),
        bytes_median: 0,
        bytes_max: 0,
        seconds: doc.rate.or_else(|| rates(session)).map(|rate| (members as f64 / rate).ceil() as i64),
    };
    let mut sizes = Vec::new();
    for (n, id) in ids.iter().enumerate() {
        let Some(member) = profiles.get(id) else { continue };
        let default = Default::default();
        let recipient = Recipient { message_id: *id, member, history: histories.get(id).unwrap_or(&default) };
        let variant = draws.of(n as i64 * 7_919).1;
        let version = shelf.version(doc.variants[variant].template_version_id).await?;
        note(
            &mut rehearsal,
            &mut sizes,
            *id,
            render_mail(&version, &stationery, &recipient, &catalog, &keyring, now_ms, now_ms),
        );
    }
    sizes.sort_unstable();
    rehearsal.bytes_median = sizes.get(sizes.len() / 2).copied().unwrap_or(0);
    rehearsal.bytes_max = sizes.last().copied().unwrap_or(0);
    Ok(rehearsal)
}

fn note(
    rehearsal: &mut Rehearsal,
    sizes: &mut Vec<usize>,
    id: i64,
    rendered: Result<crate::render::Mail, RenderError>,
) {
    match rendered {
        Ok(mail) => {
            rehearsal.rendered += 1;
            sizes.push(mail.bytes.len());
        }
        Err(RenderError::Abort { .. }) => rehearsal.skipped += 1,
        Err(error) if rehearsal.faults.len() < FAULTS_TOLD_MAX => {
            rehearsal.faults.push(format!("member {id}: {error}"))
        }
        Err(_) => {}
    }
}

/// The sum of the routes' configured rates, if every route has one.
fn rates(session: &Session) -> Option<f64> {
    let routes = &session.config.routes;
    let sum: Option<f64> = routes.iter().map(|route| route.per_second).sum();
    sum.filter(|_| !routes.is_empty())
}

/// The library of a command.
///
/// # Errors
/// A table of providers that cannot be read.
pub fn shelf(session: &Session) -> Result<Shelf, Failure> {
    let providers = routes::provider_table(&session.config)?;
    let url =
        session.config.http.public_url.clone().unwrap_or_else(|| format!("http://{}", session.config.http.listen));
    Ok(Shelf::new(session.db.clone(), session.world.clone(), session.config.clone(), providers, url)?)
}

/// Refuses a start that the rehearsal forbids.
///
/// # Errors
/// The first faults found.
pub fn must_render(rehearsal: &Rehearsal) -> Result<(), Failure> {
    if rehearsal.faults.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} of {} members rehearsed do not render:\n  {}",
        rehearsal.faults.len(),
        rehearsal.rendered + rehearsal.skipped + rehearsal.faults.len() as i64,
        rehearsal.faults.join("\n  ")
    )))
    .fix("mend the template and push it; nothing was started")
}
