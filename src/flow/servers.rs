//! Which provider's servers stand behind the domains of the members: what the table of domains does not list is looked
//! up in DNS, kept for a week, and the members are moved to the provider found. Servers that nobody lists are a
//! provider of their own once they have many members, and are called by their first name. Nothing of it stands in a
//! mail's way: until its domain is looked up, a member's provider is "other".

use std::collections::{BTreeSet, HashMap};

use tokio::task::JoinSet;

use crate::domain::provider::{OTHER, ProviderTable};
use crate::domain::site::{Sites, site_name};
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
    /// The servers, most preferred first; `"."` alone where the domain takes no mail (RFC 7505). `None`: nobody
    /// answers.
    fn of(&self, domain: &str) -> impl Future<Output = Option<Vec<String>>> + Send;
}

/// A round over all members.
pub struct Round<M> {
    db: Db,
    table: ProviderTable,
    servers: M,
    epoch: i64,
    sites: Sites,
    /// The last member looked at, and when the round began.
    at: i64,
    began_ms: i64,
    /// A site became a provider: its members that were passed already are to be moved.
    again: bool,
}

impl<M: MailServers> Round<M> {
    /// Servers that the table does not list are a provider of their own from `own_from` members on.
    pub fn new(db: Db, table: ProviderTable, servers: M, epoch: i64, own_from: i64) -> Round<M> {
        Round { db, table, servers, epoch, sites: Sites::new(own_from), at: 0, began_ms: 0, again: false }
    }

    /// Looks at a piece of the members. `false`: nothing is left for now.
    ///
    /// # Errors
    /// The database's.
    ///
    /// # Crash
    /// What was found is kept, and the members are moved by the next round.
    pub async fn tick(&mut self, now_ms: i64) -> Result<bool, StoreError> {
        let mut reader = self.db.reader().await?;
        if now_ms - self.began_ms >= ROUND_MS {
            (self.at, self.began_ms) = (0, now_ms);
            let known = provider::all(reader.conn()).await?.into_iter().map(|(_, name)| name);
            self.sites.begin(known.filter(|name| !self.table.knows(name)));
        }
        // One daemon of a database is enough: the one that lives longest.
        if daemon::living(reader.conn()).await?.first().is_none_or(|first| first.id != self.epoch) {
            return Ok(false);
        }
        let members = mx::members(reader.conn(), self.at, PIECE).await?;
        let Some((last, _, _)) = members.last() else { return Ok(self.look_again()) };
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
        let found_of: Vec<&String> =
            members.iter().filter_map(|(_, email, _)| providers.get(self.unlisted(email)?)).collect();
        self.count(&found_of);
        let names: BTreeSet<&str> = providers.values().map(|found| self.provider(found)).collect();
        let ids = provider::ids(tx.conn(), &names.into_iter().collect::<Vec<_>>()).await?;
        let moves = members.iter().filter_map(|(id, email, was)| {
            let now = ids.get(self.provider(providers.get(self.unlisted(email)?)?))?;
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

    /// Begins again where a site was found to be large after some of its members were passed. Says whether it did.
    fn look_again(&mut self) -> bool {
        if !std::mem::take(&mut self.again) {
            return false;
        }
        self.at = 0;
        self.sites.begin(std::iter::empty());
        true
    }

    /// Counts the members whose servers nobody lists.
    fn count(&mut self, found: &[&String]) {
        let mut counts: HashMap<&str, i64> = HashMap::new();
        for site in found.iter().filter(|name| !self.table.knows(name)) {
            *counts.entry(site).or_default() += 1;
        }
        for (site, members) in counts {
            if self.sites.count(site, members) {
                tracing::info!("the mail server {site} has many members: it is a provider of its own");
                self.again |= self.at > 0;
            }
        }
    }

    /// The provider that is meant by what was found for a domain: one of the table, or the name of a site.
    fn provider<'f>(&'f self, found: &'f str) -> &'f str {
        if self.table.knows(found) {
            return found;
        }
        match self.table.of_servers(&[found.to_owned()]) {
            OTHER if self.sites.is_own(found) => found,
            listed => listed,
        }
    }

    /// What is kept of a domain whose servers were asked for.
    fn kept(&self, domain: &str, servers: &[String]) -> String {
        match self.table.of_servers(servers) {
            OTHER => site_name(domain, servers),
            listed => listed.to_owned(),
        }
    }

    /// The domain of an address, if it must be asked whose it is.
    fn unlisted<'e>(&self, email: &'e str) -> Option<&'e str> {
        let domain = email.rsplit_once('@')?.1;
        let above = domain.rsplit('.').next()?;
        (!self.table.lists(domain) && !RESERVED.contains(&above)).then_some(domain)
    }

    /// The providers or sites of domains, of those that somebody answers for.
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
                Some(Ok((Some(servers), domain))) => {
                    let kept = self.kept(&domain, &servers);
                    found.push((domain, kept));
                }
                Some(_) => {}
                None => return found,
            }
        }
    }
}
