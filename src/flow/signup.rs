//! Sign-up with double opt-in: a form asks, a mail asks back, and only its reader's `POST` grants consent.
//!
//! Anybody can type anybody's address. So a wish changes nothing of a member who is there already, its answer is the
//! same for every address, an address gets few such mails, and what nobody confirms goes again. Even of the suppression
//! list a wish takes nobody: somebody else may have typed it. That, too, is left to the mail's reader.

mod confirm;

pub use confirm::{Standing, confirm, standing};

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::base::World;
use crate::base::draw::LOT_MODULUS;
use crate::domain::address::{AddrSecret, Email};
use crate::domain::campaign::{MailClass, RunDoc, SIGN_UP, Variant};
use crate::domain::member::Member;
use crate::domain::people::customer;
use crate::domain::provider::ProviderTable;
use crate::queue::standing::{self, One};
use crate::store::member::{self, NewMember};
use crate::store::signup::{self, Wish};
use crate::store::{Conn, Db, Lane, StoreError, consent, erase, provider, suppression, template};

/// The form's name in the log of consents.
pub const FORM: &str = "signup";
/// Wishes that one network may send in an hour: an office or a school stands behind one address.
pub const NETWORK_PER_HOUR: i64 = 30;
/// Mails that one address may get in a day.
pub const ADDRESS_PER_DAY: i64 = 3;
/// Wishes that lapse in one transaction.
const LAPSED_AT_ONCE: i64 = 50;
const HOUR_MS: i64 = 3_600_000;

/// What a sign-up is made with.
#[derive(Clone)]
pub struct Terms {
    /// The `[[sender]]` that asks back.
    pub sender: String,
    /// The template it asks with.
    pub template: String,
    /// How long the mail's link is good, milliseconds.
    pub valid_ms: i64,
    pub secret: AddrSecret,
    pub providers: Arc<ProviderTable>,
}

/// What somebody typed into the form, and what it showed.
#[derive(Debug, Clone)]
pub struct Typed<'t> {
    pub email: Email,
    /// Offered ones only.
    pub topics: Vec<&'t str>,
    /// The words of the form, and in which language.
    pub words: &'t str,
    pub lang: &'t str,
    /// Who asks, and how: for the log.
    pub ip: IpAddr,
    pub proof: &'t str,
}

/// What became of a wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Look into your mailbox: said of every address, whether a mail goes there or not.
    Asked,
    /// Too many wishes from one network.
    TooMany,
    /// A person ended the run of this month, or its template is gone.
    Closed,
}

/// Takes a wish: writes it down with the words shown, and queues the mail that asks whether it was meant.
///
/// # Errors
/// The database's; nothing is written then.
///
/// # Crash
/// The wish with its mail, or neither.
pub async fn ask(db: &Db, world: &World, terms: &Terms, typed: &Typed<'_>) -> Result<Heard, StoreError> {
    let now_ms = world.now_ms();
    let mut tx = db.begin(Lane::Event).await?;
    let network = terms.secret.hash(&format!("network {}", customer(typed.ip)));
    let from_there = signup::count(tx.conn(), network, window(now_ms, HOUR_MS)).await?;
    let addr_key = terms.secret.key(&typed.email);
    let heard = match from_there > NETWORK_PER_HOUR {
        true => Heard::TooMany,
        false if may_mail(tx.conn(), terms, addr_key, now_ms).await? => {
            write(tx.conn(), world, terms, typed, addr_key).await?
        }
        false => Heard::Asked,
    };
    tx.commit().await?;
    Ok(heard)
}

/// Whether the address may get one more such mail: not too often, and not one that must not be asked at all.
async fn may_mail(mut conn: Conn<'_>, terms: &Terms, addr_key: i64, now_ms: i64) -> Result<bool, StoreError> {
    let key = terms.secret.hash(&format!("address {addr_key}"));
    let asked = signup::count(conn.again(), key, window(now_ms, 24 * HOUR_MS)).await?;
    let suppressed = suppression::suppressed(conn, &[addr_key], None, now_ms).await?;
    Ok(asked <= ADDRESS_PER_DAY && suppressed.values().all(|why| why.may_be_asked()))
}

async fn write(
    mut conn: Conn<'_>,
    world: &World,
    terms: &Terms,
    typed: &Typed<'_>,
    addr_key: i64,
) -> Result<Heard, StoreError> {
    let now_ms = world.now_ms();
    let Some(version) = template::latest(conn.again(), &terms.template).await? else { return Ok(Heard::Closed) };
    let variant = Variant {
        name: terms.template.clone(),
        template: terms.template.clone(),
        template_version_id: version.id,
        share: 1.0,
    };
    let doc = RunDoc {
        campaign: SIGN_UP.to_owned(),
        class: MailClass::Transactional,
        topic: String::new(),
        sender: terms.sender.clone(),
        segment: String::new(),
        holdout: 0.0,
        rate: None,
        variants: vec![variant],
    };
    let seed = (world.random() >> 1) as i64;
    let Some(run) = standing::open(conn.again(), &doc, month(now_ms), seed, now_ms).await? else {
        return Ok(Heard::Closed);
    };
    let provider_id = provider_of(conn.again(), terms, &typed.email).await?;
    let known = member::by_addr_key(conn.again(), addr_key).await?.map(|member| member.id);
    let member_id = match known {
        Some(id) => id,
        None => add_member(conn.again(), world, typed, addr_key, provider_id).await?,
    };
    let text_id = consent::text(conn.again(), (FORM, typed.lang), typed.words, now_ms).await?;
    let wish = Wish {
        member_id,
        is_new: known.is_none(),
        topics: &typed.topics.join(";"),
        text_id,
        proof: typed.proof,
        asked_at_ms: now_ms,
        expires_at_ms: now_ms + terms.valid_ms,
        run_id: run.id,
    };
    let id = signup::add(conn.again(), &wish).await?;
    // Its origin is the member, as everywhere: whatever looks for a member's mails finds it.
    let one = One { run_id: run.id, origin: member_id, seq: id, member_id, provider_id, due_at_ms: now_ms };
    if let Some(message) = standing::enqueue_one(conn.again(), &one).await? {
        signup::set_message(conn, id, message).await?;
    }
    Ok(Heard::Asked)
}

async fn provider_of(conn: Conn<'_>, terms: &Terms, email: &Email) -> Result<i64, StoreError> {
    let name = terms.providers.of(email.domain());
    let missing = || StoreError::Inconsistent { what: format!("provider {name} has no row") };
    provider::ids(conn, &[name]).await?.remove(name).ok_or_else(missing)
}

async fn add_member(
    conn: Conn<'_>,
    world: &World,
    typed: &Typed<'_>,
    addr_key: i64,
    provider_id: i64,
) -> Result<i64, StoreError> {
    let profile = Member {
        email: typed.email.as_str().to_owned(),
        addr_key,
        locale: typed.lang.to_owned(),
        zone: "UTC".to_owned(),
        ..Member::default()
    };
    let lot = (world.random() % LOT_MODULUS as u64) as i64;
    let new = [NewMember { profile, provider_id, lot }];
    let ids = member::insert(conn, &new, world.now_ms()).await?;
    ids.get(&addr_key).copied().ok_or_else(|| StoreError::Inconsistent { what: "a new member has no id".to_owned() })
}

/// Drops wishes that nobody confirmed in time, each with the member it made if nothing else is known of him or her.
/// Says whether there may be more.
///
/// # Crash
/// What one call dropped is gone; the rest waits for the next.
pub async fn lapse(db: &Db, now_ms: i64) -> Result<bool, StoreError> {
    let mut reader = db.reader().await?;
    let lapsed = signup::lapsed(reader.conn(), now_ms, LAPSED_AT_ONCE).await?;
    drop(reader);
    if lapsed.is_empty() {
        return Ok(false);
    }
    let mut gone = BTreeSet::new();
    let mut tx = db.begin(Lane::Bulk).await?;
    for wish in &lapsed {
        match wish.addr_key.filter(|_| wish.is_empty == 1) {
            // With the member all of its wishes go.
            Some(addr_key) if gone.insert(wish.member_id) => {
                erase::member(tx.conn(), wish.member_id, addr_key).await?;
            }
            Some(_) => {}
            None => signup::drop_one(tx.conn(), wish.id).await?,
        }
    }
    signup::forget_counts(tx.conn(), now_ms).await?;
    tx.commit().await?;
    Ok(lapsed.len() as i64 == LAPSED_AT_ONCE)
}

/// The end of the window of that length that `now_ms` is in.
fn window(now_ms: i64, length_ms: i64) -> i64 {
    (now_ms.div_euclid(length_ms) + 1) * length_ms
}

/// The instant the month began that `now_ms` is in, UTC.
fn month(now_ms: i64) -> i64 {
    let day = Timestamp::from_millisecond(now_ms).unwrap_or_default().to_zoned(TimeZone::UTC).date();
    let first = day.first_of_month().to_zoned(TimeZone::UTC);
    first.map_or(0, |first| first.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_and_months_begin_where_they_should() {
        assert_eq!(window(0, 1_000), 1_000);
        assert_eq!(window(999, 1_000), 1_000);
        assert_eq!(window(1_000, 1_000), 2_000);
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        assert_eq!(month(at("2026-11-26T10:00:00Z")), at("2026-11-01T00:00:00Z"));
        assert_eq!(month(at("2026-12-01T00:00:00Z")), at("2026-12-01T00:00:00Z"));
    }

    #[test]
    fn a_customer_with_many_addresses_is_one() {
        let of = |text: &str| customer(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
