//! Members: matched by external id, else by address; attributes, topics and a tag come along.
//!
//! `personalise` is a wish, and a file can only carry a no: a yes never overrules what a member chose since.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::batch::{self, Outcome};
use super::field::{self, Change, Zones, change};
use super::table::{Cell, Row};
use super::{Fault, Import, Kind};
use crate::base::World;
use crate::base::draw::LOT_MODULUS;
use crate::domain::address::{AddrSecret, Email};
use crate::domain::consent::{ConsentEvent, ConsentState};
use crate::domain::member::Member;
use crate::domain::provider::ProviderTable;
use crate::store::consent::{self, Change as ConsentChange};
use crate::store::member::{self, NewMember};
use crate::store::{Conn, StoreError, attribute, mx, provider};

/// The columns that are not attributes.
pub(super) const COLUMNS: &[&str] =
    &["email", "external_id", "first_name", "last_name", "locale", "zone", "market", "topics", "points", "personalise"];
const LOCALE: &str = "en";
const ZONE: &str = "UTC";
/// Longest market's name, bytes.
const MARKET_BYTES_MAX: usize = 40;

/// What a row says about a member.
pub(super) struct MemberRow {
    email: Option<(Email, i64)>,
    external_id: Change<String>,
    first_name: Change<String>,
    last_name: Change<String>,
    locale: Change<String>,
    zone: Change<String>,
    market: Change<String>,
    points: Change<i64>,
    personalise: Change<bool>,
    topics: Change<Vec<String>>,
    attributes: Vec<(String, Change<String>)>,
}

/// Judges the rows of a members file.
pub(super) struct Door {
    secret: AddrSecret,
    zones: Zones,
    /// Who had which address and external id in the rows before; only a strict import asks.
    seen: Option<Seen>,
}

#[derive(Default)]
struct Seen {
    by_addr: HashMap<i64, String>,
    by_external: HashMap<String, i64>,
}

impl Door {
    pub(super) fn new(secret: AddrSecret, strict: bool) -> Door {
        Door { secret, zones: Zones::default(), seen: strict.then(Seen::default) }
    }

    fn email(&self, row: &Row) -> Result<Option<(Email, i64)>, Fault> {
        match change(row, "email", field::email)? {
            Change::To(email) => {
                let key = self.secret.key(&email);
                Ok(Some((email, key)))
            }
            Change::Leave => Ok(None),
            Change::Clear => {
                Err(Fault::new("email", r"cannot be cleared (\N): a member without an address is erased instead"))
            }
        }
    }
}

impl batch::Door for Door {
    type Item = MemberRow;

    fn parse(&mut self, row: &Row) -> Result<MemberRow, Fault> {
        let email = self.email(row)?;
        let external_id = change(row, "external_id", field::id)?;
        if email.is_none() && external_id.given().is_none() {
            return Err(Fault::new("email", "is missing, and so is external_id: a member needs one of them"));
        }
        let mut attributes = Vec::new();
        for (name, cell) in row.others(Kind::Members) {
            attributes.push(match cell {
                Cell::Leave => continue,
                Cell::Clear => (name.to_owned(), Change::Clear),
                Cell::Text(text) => {
                    let text = field::text(text).map_err(|why| Fault::new(name.to_owned(), why))?;
                    (name.to_owned(), Change::To(text))
                }
            });
        }
        let market = |text: &str| match text.len() {
            ..=MARKET_BYTES_MAX => Ok(text.to_lowercase()),
            _ => Err(format!("is longer than {MARKET_BYTES_MAX} bytes")),
        };
        let parsed = MemberRow {
            first_name: change(row, "first_name", field::text)?,
            last_name: change(row, "last_name", field::text)?,
            locale: change(row, "locale", field::locale)?,
            zone: change(row, "zone", |text| self.zones.read(text))?,
            market: change(row, "market", market)?,
            points: change(row, "points", field::whole)?,
            personalise: change(row, "personalise", field::yes_or_no)?,
            topics: change(row, "topics", field::topics)?,
            attributes,
            email,
            external_id,
        };
        if let Some(seen) = &mut self.seen {
            seen.check(&parsed)?;
        }
        Ok(parsed)
    }
}

impl Seen {
    fn check(&mut self, row: &MemberRow) -> Result<(), Fault> {
        let (Some((_, key)), Some(external)) = (&row.email, row.external_id.given()) else { return Ok(()) };
        let before = self.by_addr.insert(*key, external.clone());
        if before.is_some_and(|before| before != *external) {
            return Err(Fault::new("email", "stands in an earlier row with another external_id: keep one of them"));
        }
        self.by_external.insert(external.clone(), *key);
        Ok(())
    }
}

/// Matches and writes members.
pub(super) struct Desk {
    world: World,
    table: Arc<ProviderTable>,
    tag: Option<String>,
    /// What the consent log names as proof.
    proof: String,
    providers: HashMap<String, i64>,
    attributes: HashMap<String, i64>,
}

impl Desk {
    pub(super) fn new(import: &Import, world: &World) -> Desk {
        let proof = import.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Desk {
            world: world.clone(),
            table: import.providers.clone(),
            tag: import.tag.clone(),
            proof,
            providers: HashMap::new(),
            attributes: HashMap::new(),
        }
    }
}

/// One member of a batch: as the database has it, and as the rows so far leave it.
struct Person {
    before: Option<Member>,
    now: Member,
    topics: Vec<String>,
    withdraw: bool,
}

/// The members of a batch, found by their keys while its rows are applied in order.
#[derive(Default)]
struct People {
    people: Vec<Person>,
    by_addr: HashMap<i64, usize>,
    by_external: HashMap<String, usize>,
}

impl People {
    fn of(known: Vec<Member>) -> People {
        let mut all = People::default();
        for member in known {
            let at = all.people.len();
            all.by_addr.insert(member.addr_key, at);
            all.by_external.extend(member.external_id.iter().map(|id| (id.clone(), at)));
            all.people.push(Person { before: Some(member.clone()), now: member, topics: Vec::new(), withdraw: false });
        }
        all
    }

    /// Whom a row is about: `None` for somebody new.
    fn find(&self, row: &MemberRow) -> Result<Option<usize>, Fault> {
        let by_external = row.external_id.given().and_then(|id| self.by_external.get(id)).copied();
        let by_addr = row.email.as_ref().and_then(|(_, key)| self.by_addr.get(key)).copied();
        match (by_external, by_addr) {
            (Some(a), Some(b)) if a != b => {
                let id = self.people[b].now.external_id.as_deref();
                let other = id.map_or("without an external_id".to_owned(), |id| format!("with external_id {id:?}"));
                Err(Fault::new(
                    "email",
                    format!("belongs to another member, {other}: merge the two, or correct one row"),
                ))
            }
            (None, Some(at)) => match (row.external_id.given(), &self.people[at].now.external_id) {
                (Some(new), Some(old)) if new != old => Err(Fault::new(
                    "external_id",
                    format!("is {new:?}, but the member with this address has {old:?}: correct one of them"),
                )),
                _ => Ok(Some(at)),
            },
            (None, None) if row.email.is_none() => {
                Err(Fault::new("external_id", "belongs to nobody yet, and the row has no email to make a member of"))
            }
            (at, _) => Ok(at),
        }
    }

    fn apply(&mut self, row: &MemberRow) -> Result<Outcome, Fault> {
        let (at, fresh) = match self.find(row)? {
            Some(at) => (at, false),
            None => {
                let now = Member { locale: LOCALE.to_owned(), zone: ZONE.to_owned(), ..Member::default() };
                self.people.push(Person { before: None, now, topics: Vec::new(), withdraw: false });
                (self.people.len() - 1, true)
            }
        };
        let person = &mut self.people[at];
        let before = (!fresh).then(|| person.now.clone());
        row.apply(&mut person.now);
        self.by_addr.insert(person.now.addr_key, at);
        self.by_external.extend(person.now.external_id.iter().map(|id| (id.clone(), at)));
        match &row.topics {
            Change::Leave => {}
            Change::Clear => person.withdraw = true,
            Change::To(topics) => {
                person.topics.extend(topics.iter().filter(|t| !person.topics.contains(t)).cloned().collect::<Vec<_>>())
            }
        }
        Ok(match before {
            None => Outcome::Inserted,
            Some(before) if before == person.now => Outcome::Unchanged,
            Some(_) => Outcome::Updated,
        })
    }
}

impl MemberRow {
    fn key(&self) -> (Option<i64>, Option<&str>) {
        (self.email.as_ref().map(|(_, key)| *key), self.external_id.given().map(String::as_str))
    }

    fn apply(&self, member: &mut Member) {
        if let Some((email, key)) = &self.email {
            // The same address in another letter case is no new address: what is sent stays as it was given first.
            if *key != member.addr_key {
                member.email = email.as_str().to_owned();
                member.addr_key = *key;
            }
        }
        self.external_id.apply_to(&mut member.external_id);
        self.first_name.apply_to(&mut member.first_name);
        self.last_name.apply_to(&mut member.last_name);
        self.locale.apply(&mut member.locale, LOCALE.to_owned());
        self.zone.apply(&mut member.zone, ZONE.to_owned());
        self.market.apply(&mut member.market, String::new());
        self.points.apply(&mut member.points, 0);
        member.wishes.personalise &= self.personalise != Change::To(false);
        for (name, change) in &self.attributes {
            match change {
                Change::Leave => {}
                Change::Clear => drop(member.attributes.remove(name)),
                Change::To(text) => drop(member.attributes.insert(name.clone(), text.clone())),
            }
        }
    }
}

impl batch::Desk for Desk {
    type Item = MemberRow;

    async fn write(
        &mut self,
        mut conn: Conn<'_>,
        items: &[&MemberRow],
        now_ms: i64,
    ) -> Result<Vec<Outcome>, StoreError> {
        let known = member::matching(conn.again(), items.iter().map(|row| row.key())).await?;
        let mut people = People::of(known);
        let mut named = Vec::with_capacity(items.len());
        let mut outcomes = Vec::with_capacity(items.len());
        for row in items {
            match people.apply(row) {
                Ok(outcome) => {
                    named.push(people.find(row).ok().flatten());
                    outcomes.push(outcome);
                }
                Err(fault) => {
                    named.push(None);
                    outcomes.push(Outcome::Rejected(fault));
                }
            }
        }
        self.write_people(conn.again(), &mut people.people, now_ms).await?;
        let consented = self.write_topics(conn.again(), &people.people, now_ms).await?;
        if let Some(name) = &self.tag {
            let mut ids: Vec<i64> = named.iter().flatten().map(|at| people.people[*at].now.id).collect();
            ids.sort_unstable();
            ids.dedup();
            member::give_tag(conn, name, &ids, now_ms).await?;
        }
        for (at, outcome) in named.iter().zip(&mut outcomes) {
            let changed = at.is_some_and(|at| consented.contains(&people.people[at].now.id));
            if *outcome == Outcome::Unchanged && changed {
                *outcome = Outcome::Updated;
            }
        }
        Ok(outcomes)
    }

    fn forget(&mut self) {
        self.providers.clear();
        self.attributes.clear();
    }
}

impl Desk {
    async fn write_people(&mut self, mut conn: Conn<'_>, people: &mut [Person], now_ms: i64) -> Result<(), StoreError> {
        let changed = |person: &Person| person.before.as_ref() != Some(&person.now);
        if !people.iter().any(changed) {
            return Ok(());
        }
        let providers = self.provider_ids(conn.again(), people).await?;
        let mut lots = vec![0; people.len() * 8];
        self.world.fill(&mut lots);
        let mut new = Vec::new();
        let mut old = Vec::new();
        for ((person, provider_id), lot) in people.iter().zip(providers).zip(lots.chunks_exact(8)) {
            let lot = u64::from_le_bytes(lot.try_into().expect("eight bytes")) % LOT_MODULUS as u64;
            match &person.before {
                None => new.push(NewMember { profile: person.now.clone(), provider_id, lot: lot as i64 }),
                Some(_) if changed(person) => old.push((&person.now, provider_id)),
                Some(_) => {}
            }
        }
        member::update(conn.again(), &old, now_ms).await?;
        let ids = member::insert(conn.again(), &new, now_ms).await?;
        for person in people.iter_mut().filter(|person| person.before.is_none()) {
            person.now.id = ids[&person.now.addr_key];
        }
        self.write_attributes(conn, people).await
    }

    async fn provider_ids(&mut self, mut conn: Conn<'_>, people: &[Person]) -> Result<Vec<i64>, StoreError> {
        let domains = people.iter().map(|person| person.now.email.rsplit('@').next().unwrap_or_default());
        let unlisted: HashSet<&str> = domains.clone().filter(|domain| !self.table.lists(domain)).collect();
        // What DNS said of a domain before holds for who comes now.
        let found = mx::providers(conn.again(), &unlisted.into_iter().collect::<Vec<_>>()).await?;
        let name = |domain: &str| found.get(domain).map_or_else(|| self.table.of(domain), String::as_str).to_owned();
        let names: Vec<String> = domains.map(name).collect();
        let missing: HashSet<&str> =
            names.iter().map(String::as_str).filter(|name| !self.providers.contains_key(*name)).collect();
        if !missing.is_empty() {
            let missing: Vec<&str> = missing.into_iter().collect();
            self.providers.extend(provider::ids(conn, &missing).await?);
        }
        Ok(names.iter().map(|name| self.providers[name]).collect())
    }

    async fn write_attributes<'p>(&mut self, mut conn: Conn<'_>, people: &'p [Person]) -> Result<(), StoreError> {
        let none = BTreeMap::new();
        let mut set: Vec<(i64, &str, &'p str)> = Vec::new();
        let mut gone: Vec<(i64, &str)> = Vec::new();
        for person in people {
            let before = person.before.as_ref().map_or(&none, |before| &before.attributes);
            let now = &person.now.attributes;
            set.extend(
                now.iter().filter(|(k, v)| before.get(*k) != Some(*v)).map(|(k, v)| (person.now.id, &**k, &**v)),
            );
            gone.extend(before.keys().filter(|k| !now.contains_key(*k)).map(|k| (person.now.id, &**k)));
        }
        let names = set.iter().map(|(_, name, _)| *name).chain(gone.iter().map(|(_, name)| *name));
        let missing: HashSet<&str> = names.filter(|name| !self.attributes.contains_key(*name)).collect();
        if !missing.is_empty() {
            let missing: Vec<&str> = missing.into_iter().collect();
            self.attributes.extend(attribute::ids(conn.again(), &missing).await?);
        }
        let ids = &self.attributes;
        let value = |v: &(i64, &str, &'p str)| attribute::Value {
            member_id: v.0,
            attribute_id: ids[v.1],
            text: v.2,
            number: number(v.2),
        };
        let set: Vec<attribute::Value<'p>> = set.iter().map(value).collect();
        attribute::set(conn.again(), &set).await?;
        let gone: Vec<(i64, i64)> = gone.into_iter().map(|(id, name)| (id, self.attributes[name])).collect();
        attribute::clear(conn, &gone).await
    }

    /// Grants and withdraws topics; returns the members for whom that changed something.
    async fn write_topics(
        &self,
        mut conn: Conn<'_>,
        people: &[Person],
        now_ms: i64,
    ) -> Result<HashSet<i64>, StoreError> {
        let mut changed = HashSet::new();
        for person in people.iter().filter(|person| person.withdraw && person.before.is_some()) {
            let standing = consent::of_member(conn.again(), person.now.id).await?;
            let granted = standing.iter().filter(|standing| standing.state == ConsentState::Granted);
            let revoke =
                |standing| ConsentChange { member_id: person.now.id, topic: standing, event: ConsentEvent::Revoked };
            let changes: Vec<ConsentChange<'_>> = granted.map(|standing| revoke(standing.topic.as_str())).collect();
            changed.extend(consent::record(conn.again(), &changes, "import", &self.proof, now_ms).await?);
        }
        let mut changes = Vec::new();
        for person in people.iter().filter(|person| !person.withdraw) {
            let grant = |topic| ConsentChange { member_id: person.now.id, topic, event: ConsentEvent::Imported };
            changes.extend(person.topics.iter().map(|topic| grant(topic.as_str())));
        }
        changed.extend(consent::record(conn, &changes, "import", &self.proof, now_ms).await?);
        Ok(changed)
    }
}

/// What an attribute's text is as a number, for comparing: plain decimals only.
fn number(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|c| c.is_ascii_digit() || c == b'.' || c == b'-');
    plain.then(|| text.parse().ok()).flatten().filter(|n: &f64| n.is_finite())
}
