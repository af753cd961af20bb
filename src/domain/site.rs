//! Mail servers that nobody lists: those with many members become a provider of their own, whose answers teach a rate;
//! the rest, who are many and each of them small, stay [`OTHER`](super::provider::OTHER) together.

use std::collections::{HashMap, HashSet};

/// Most providers that are made so: each has a lane in every run and a gate on every route.
pub const OWN_MAX: usize = 200;
/// Sites counted at once. Of more, a count is too low by at most a part in so many of all members (Misra, Gries 1982).
const COUNTED_MAX: usize = 50_000;

/// What the servers of a domain are called together: the most preferred of them; the domain itself where it has none.
pub fn site_name(domain: &str, servers: &[String]) -> String {
    servers.first().map_or(domain, |server| server.trim_end_matches('.')).to_lowercase()
}

/// How many members each site has, as far as was counted.
#[derive(Debug)]
pub struct Sites {
    own_from: i64,
    counts: HashMap<String, i64>,
    own: HashSet<String>,
}

impl Sites {
    /// A site with `own_from` members is a provider of its own.
    pub fn new(own_from: i64) -> Sites {
        Sites { own_from, counts: HashMap::new(), own: HashSet::new() }
    }

    /// Counts from nothing again. What became a provider stays one: its rate was learnt. `own` are those known already.
    pub fn begin(&mut self, own: impl Iterator<Item = String>) {
        self.counts.clear();
        self.own.extend(own);
    }

    /// Counts members of a site. Says whether that made it a provider of its own.
    pub fn count(&mut self, site: &str, members: i64) -> bool {
        if self.is_own(site) {
            return false;
        }
        if !self.counts.contains_key(site) && self.counts.len() >= COUNTED_MAX {
            self.counts.retain(|_, n| {
                *n -= 1;
                *n > 0
            });
        }
        let n = self.counts.entry(site.to_owned()).or_default();
        *n += members;
        let becomes = *n >= self.own_from && self.own.len() < OWN_MAX;
        if becomes {
            self.counts.remove(site);
            self.own.insert(site.to_owned());
        }
        becomes
    }

    pub fn is_own(&self, site: &str) -> bool {
        self.own.contains(site)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_called_by_its_first_server() {
        let servers = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            site_name("firm.example", &servers(&["MX1.Host.example.", "mx2.host.example."])),
            "mx1.host.example"
        );
        assert_eq!(site_name("firm.example", &[]), "firm.example");
    }

    #[test]
    fn the_many_become_their_own_and_stay_so() {
        let mut sites = Sites::new(5);
        sites.begin(["old".to_owned()].into_iter());
        assert!(!sites.count("a", 4) && sites.count("a", 1) && !sites.count("a", 9));
        assert!(!sites.count("old", 100) && sites.is_own("old") && !sites.is_own("b"));
        sites.begin(std::iter::empty());
        assert!(sites.is_own("a") && !sites.count("b", 4));
        for n in 0..OWN_MAX {
            sites.count(&format!("s{n}"), 5);
        }
        assert!(!sites.count("late", 1_000) && !sites.is_own("late"), "no more than so many");
    }

    #[test]
    fn a_great_one_is_found_among_countless_small_ones() {
        let mut sites = Sites::new(1_000);
        let mut found = false;
        for n in 0..200_000 {
            sites.count(&format!("small{n}"), 1);
            if n % 100 == 0 {
                found |= sites.count("great", 1);
            }
        }
        assert!(found && sites.counts.len() <= COUNTED_MAX, "{}", sites.counts.len());
    }
}
