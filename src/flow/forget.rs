//! What a member may ask of a controller: everything held of them, or that nothing is held any more.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use serde::Serialize;

use crate::domain::address::Email;
use crate::domain::member::Member;
use crate::domain::suppression::{SCOPE_ALL, SuppressionReason};
use crate::store::dossier::{self, ConsentChange, Event, Message, OrderLine, Profile, Tag, Touch};
use crate::store::signup::{self, Asked};
use crate::store::suppression::{self, Suppression};
use crate::store::{Conn, Db, Lane, StoreError, erase};

/// Bytes of a file looked through at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Everything held of a member.
#[derive(Debug, Serialize)]
pub struct Dossier {
    pub profile: Option<Profile>,
    pub attributes: BTreeMap<String, String>,
    /// Every change of consent, with the words shown.
    pub consents: Vec<ConsentChange>,
    /// What the sign-up form was asked for in the member's name, confirmed or not.
    pub signups: Vec<Asked>,
    pub suppressions: Vec<Entry>,
    pub tags: Vec<Tag>,
    pub events: Vec<Event>,
    /// A row for each line of an order.
    pub orders: Vec<OrderLine>,
    pub messages: Vec<Message>,
    pub touches: Vec<Touch>,
}

/// An entry of the suppression list.
#[derive(Debug, Serialize)]
pub struct Entry {
    pub scope: String,
    pub reason: SuppressionReason,
    pub source: String,
    pub at_ms: i64,
    pub expires_at_ms: Option<i64>,
}

/// Gathers everything held of a member.
pub async fn dossier(mut conn: Conn<'_>, member: Member) -> Result<Dossier, StoreError> {
    let id = member.id;
    let entry = |Suppression { scope, reason, source, at_ms, expires_at_ms }| Entry {
        scope,
        reason,
        source,
        at_ms,
        expires_at_ms,
    };
    let suppressions = suppression::of_address(conn.again(), member.addr_key).await?;
    Ok(Dossier {
        profile: dossier::profile(conn.again(), id).await?.pop(),
        attributes: member.attributes,
        consents: dossier::consents(conn.again(), id).await?,
        signups: signup::of_member(conn.again(), id).await?,
        suppressions: suppressions.into_iter().map(entry).collect(),
        tags: dossier::tags(conn.again(), id).await?,
        events: dossier::events(conn.again(), id).await?,
        orders: dossier::orders(conn.again(), id).await?,
        messages: dossier::messages(conn.again(), id).await?,
        touches: dossier::touches(conn, id).await?,
    })
}

/// What an erasure did.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// `false`: no live member has the address; what else spoke of it was looked for all the same.
    pub member: bool,
    /// Returned mails thrown away because they spoke of the address.
    pub strays: usize,
    /// Files of the database in which the address still stands; always empty on PostgreSQL, whose files are not ours
    /// to read.
    pub traces: Vec<String>,
}

/// Erases the member with an address, and every returned mail that speaks of it. The keyed hash of the address stays on
/// the suppression list, so that nobody writes to it again by mistake; counts stay. It is done again without harm.
///
/// # Crash
/// The member is erased whole or not at all; returned mails may remain, and a second erasure throws them away.
pub async fn erase(
    db: &Db,
    email: &Email,
    addr_key: i64,
    member: Option<&Member>,
    now_ms: i64,
) -> Result<Erased, StoreError> {
    let entry = Suppression {
        scope: SCOPE_ALL.to_owned(),
        reason: SuppressionReason::Erased,
        source: "erase".to_owned(),
        at_ms: now_ms,
        expires_at_ms: None,
    };
    let mut tx = db.begin(Lane::Bulk).await?;
    suppression::suppress(tx.conn(), addr_key, &entry).await?;
    if let Some(member) = member {
        erase::member(tx.conn(), member.id, addr_key).await?;
    }
    tx.commit().await?;
    let strays = throw_strays_away(db, email).await?;
    db.forget_history().await?;
    let traces = db.sqlite_path().map_or_else(Vec::new, |path| traces(path, email));
    Ok(Erased { member: member.is_some(), strays, traces })
}

async fn throw_strays_away(db: &Db, email: &Email) -> Result<usize, StoreError> {
    let (mut after, mut thrown) = (0, 0);
    loop {
        let mut reader = db.reader().await?;
        let (found, next) = erase::strays(reader.conn(), email, after).await?;
        drop(reader);
        if !found.is_empty() {
            let mut tx = db.begin(Lane::Bulk).await?;
            erase::throw_away(tx.conn(), &found).await?;
            tx.commit().await?;
            thrown += found.len();
        }
        match next {
            Some(next) => after = next,
            None => return Ok(thrown),
        }
    }
}

/// The database's files in which the address still stands, as in room that older versions of rows left behind. A file
/// that cannot be read holds nothing for us.
pub fn traces(database: &Path, email: &Email) -> Vec<String> {
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    let word = email.folded();
    let files = [database, Path::new(&log)].into_iter().filter(|path| holds(path, word.as_bytes()));
    files.map(|path| path.display().to_string()).collect()
}

fn holds(path: &Path, word: &[u8]) -> bool {
    let Ok(file) = std::fs::File::open(path) else { return false };
    // Closing it would take from our own connections the locks this process holds on it (POSIX): it stays open.
    let mut file = std::mem::ManuallyDrop::new(file);
    let (mut window, mut chunk) = (Vec::new(), vec![0; CHUNK_BYTES]);
    while let Ok(n @ 1..) = file.read(&mut chunk) {
        window.extend(chunk[..n].iter().map(u8::to_ascii_lowercase));
        if memchr::memmem::find(&window, word).is_some() {
            return true;
        }
        window.drain(..window.len().saturating_sub(word.len()));
    }
    false
}
