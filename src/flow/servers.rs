//! Which provider's servers stand behind the domains of the members: what the table of domains does not list is looked
//! up in DNS, kept for a week, and the members are moved to the provider found. Nothing of it stands in a mail's way:
//! until its domain is looked up, a member's provider is "other".

use std::collections::{BTreeSet, HashMap};

use tokio::task::JoinSet;

use crate::domain::provider::ProviderTable;
use crate::store::{Db, Lane, StoreError, daemon, mx, provider};

/// Members looked at in one piece.
const PIECE: i64 = 2_000;
/// Questions asked at once.
const AT_ONCE: usize = 16;
/// How long an answer is believed, milliseconds.
const BELIEVED_MS: i64 = 7 * 86_400_000;
/// How often all members are looked at again, milliseconds.
const ROUND_MS: i64 = 86_400_000;
/// Names that are nobody's (RFC 2606 §2, RFC 6761 §6): nothing is asked about them.
const RESERVED: [&str; 6] = ["example", "test", "invalid", "localhost", "local", "onion"];

/// Whoever can be asked for the mail servers of a domain.
pub trait MailServers: Clone + Send + Sync + 'static {
    /// The servers, most preferred first; `"."` alone where the domain takes no mail (RFC 7505). `None`: nobody answers.
    fn of(&self, domain: &str) -> impl Future<Output = Option<Vec<String>>> + Send;
}

/// A round over all members.
pub struct Round<M> {
    db: Db,
    table: ProviderTable,
    servers: M,
    epoch: i64,
    /// The last member looked at, and when the round began.
    at: i64,
    began_ms: i64,
}

impl<M: MailServers> Round<M> {
    pub fn new(db: Db, table: ProviderTable, servers: M, epoch: i64) -> Round<M> {
        Round { db, table, servers, epoch, at: 0, began_ms: 0 }
    }

    /// Looks at a piece of the members. `false`: nothing is left for now.
    ///
    /// # Errors
    /// The database's.
    ///
    /// # Crash
    /// What was found is kept, and the members are moved by the next round.
    pub async fn tick(&mut self, now_ms: i64) -> Result<bool, StoreError> {
        if now_ms - self.began_ms >= ROUND_MS {
            (self.at, self.began_ms) = (0, now_ms);
        }
        let mut reader = self.db.reader().await?;
        // One daemon of a database is enough: the one that lives longest.
        if daemon::living(reader.conn()).await?.first().is_none_or(|first| first.id != self.epoch) {
            return Ok(false);
        }
        let members = mx::members(reader.conn(), self.at, PIECE).await?;
        let Some((last, _, _)) = members.last() else { return Ok(false) };
        let last = *last;
        let domains: BTreeSet<&str> = members.iter().filter_map(|(_, email, _)| self.unlisted(email)).collect();
        let domains: Vec<&str> = domains.into_iter().collect();
        let mut known = mx::known(reader.conn(), &domains).await?;
        drop(reader);
        known.retain(|_, (_, expires_at_ms)| *expires_at_ms > now_ms);
        let unknown: Vec<String> =
            domains.iter().filter(|domain| !known.contains_key(**domain)).map(|domain| (*domain).to_owned()).collect();
        let found = self.look_up(unknown).await;
        let mut tx = self.db.begin(Lane::Bulk).await?;
        if !found.is_empty() {
            mx::keep(tx.conn(), &found, now_ms + BELIEVED_MS).await?;
        }
        let providers: HashMap<String, String> =
            known.into_iter().map(|(domain, (name, _))| (domain, name)).chain(found).collect();
        let names: BTreeSet<&str> = providers.values().map(String::as_str).collect();
        let ids = provider::ids(tx.conn(), &names.into_iter().collect::<Vec<_>>()).await?;
        let moves = members.iter().filter_map(|(id, email, was)| {
            let now = ids.get(providers.get(self.unlisted(email)?)?)?;
            (now != was).then_some((*id, *was, *now))
        });
        let moves: Vec<(i64, i64, i64)> = moves.collect();
        if !moves.is_empty() {
            mx::move_members(tx.conn(), &moves).await?;
        }
        tx.commit().await?;
        if !moves.is_empty() {
            tracing::info!(
                members = moves.len(),
                "{} members have the provider that their mail servers say",
                moves.len()
            );
        }
        self.at = last;
        Ok(true)
    }

    /// The domain of an address, if it must be asked whose it is.
    fn unlisted<'e>(&self, email: &'e str) -> Option<&'e str> {
        let domain = email.rsplit_once('@')?.1;
        let above = domain.rsplit('.').next()?;
        (!self.table.lists(domain) && !RESERVED.contains(&above)).then_some(domain)
    }

    /// The providers of domains, of those that somebody answers for.
    async fn look_up(&self, domains: Vec<String>) -> Vec<(String, String)> {
        let (mut asking, mut found) = (JoinSet::new(), Vec::new());
        let mut waiting = domains.into_iter();
        loop {
            while asking.len() < AT_ONCE
                && let Some(domain) = waiting.next()
            {
                let servers = self.servers.clone();
                asking.spawn(async move { (servers.of(&domain).await, domain) });
            }
            match asking.join_next().await {
                Some(Ok((Some(servers), domain))) => found.push((domain, self.table.of_servers(&servers).to_owned())),
                Some(_) => {}
                None => return found,
            }
        }
    }
}
