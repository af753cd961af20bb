//! People and machines: the final class of opens and clicks, from everything that happened around them.
//!
//! [`Agents::classify`](super::touch::Agents::classify) judges a touch alone, at once. What it cannot see is judged
//! here when the time around a touch is over: many links of one mail within a second, a link no reader sees, one
//! machine at many mails, a check at the moment of a click, a firm whose mail is read before anybody can have read it.
//! A pure function of kept evidence, so that it can be asked again with a later version of itself.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use super::touch::{TouchClass, TouchKind};

/// The slot of the link no reader sees: above every link and every product block.
pub const HIDDEN_SLOT: u16 = u16::MAX;
/// How far around a touch its evidence lies, milliseconds: what is judged must be older than this.
pub const AROUND_MS: i64 = 10 * 60_000;

/// Links of one mail that nobody follows so fast: so many within [`BURST_MS`], or more within a minute.
const BURST_LINKS: usize = 3;
const BURST_MS: i64 = 2_000;
const MANY_LINKS: usize = 6;
const MINUTE_MS: i64 = 60_000;
/// Links of one mail that no reader follows within [`AROUND_MS`], in whatever time between them.
const MOST_LINKS: usize = 8;
/// Networks from which one browser comes to more links than that of one mail within [`AROUND_MS`]: at home and on the
/// way are two, and whoever hides behind a relay follows few.
const NETWORKS_OF_A_BROWSER: usize = 3;
/// After the 250, nobody has opened the mail, found a link and followed it.
const TOO_SOON_MS: i64 = 3_000;
/// A proxy that shows a mail so soon fetched it ahead.
const AHEAD_MS: i64 = 10_000;
/// A check of a link goes just before its reader.
const CHECK_MS: i64 = 5_000;
/// Mails in which one machine must be proven before all it does is a machine's.
const PROVEN_MAILS: usize = 2;
/// One address for so many readers of so many domains with so few agents is a gateway.
const SHARED_READERS: usize = 20;
const SHARED_DOMAINS: usize = 5;
const READERS_OF_AN_AGENT: usize = 5;
/// Proven mails of a domain from which its first minute is its gateway's, when they are also most of all early ones.
const SCANNED_MAILS: usize = 3;

/// What is known of one open or click. The words are kept as hashes: they are compared, never read.
#[derive(Debug, Clone)]
pub struct Evidence {
    pub at_ms: i64,
    /// The message, unique over all runs.
    pub message: (i64, i64),
    /// The domain of the reader's address; 0 where it is not known.
    pub domain: u64,
    /// When the next hop took the mail.
    pub sent_at_ms: Option<i64>,
    pub kind: TouchKind,
    /// Which link: slot and product.
    pub place: (u16, i64),
    /// The class by method and user agent alone.
    pub alone: TouchClass,
    pub agent: u64,
    pub network: u64,
}

impl Evidence {
    fn is_click(&self) -> bool {
        self.kind == TouchKind::Click
    }

    fn after_delivery_ms(&self) -> i64 {
        self.sent_at_ms.map_or(i64::MAX, |sent_at_ms| self.at_ms - sent_at_ms)
    }
}

/// The network an address lies in: its /24, or /48 of IPv6.
pub fn network(ip: IpAddr) -> u64 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => u64::from(u32::from(ip) >> 8),
        IpAddr::V6(ip) => (u128::from(ip) >> 80) as u64 | 1 << 63,
    }
}

/// Whom an address stands for: itself, or the /64 of IPv6 that one customer has.
pub fn customer(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
    }
}

/// The final class of each touch, by all of them. `touches` are in the order of time and reach [`AROUND_MS`] beyond
/// those whose answer is wanted. Unsubscribes and web versions keep the class they have alone: consent is never undone
/// by a guess.
pub fn judge(touches: &[Evidence]) -> Vec<TouchClass> {
    let mut court = Court::new(touches);
    court.each_mail(Court::by_links);
    court.each_mail(Court::by_networks);
    court.each_mail(Court::by_company);
    court.by_machine();
    court.by_shared_address();
    court.by_domain();
    court.each_mail(Court::by_company);
    touches.iter().zip(&court.proven).map(|(touch, proven)| class(touch, *proven)).collect()
}

fn class(touch: &Evidence, proven: bool) -> TouchClass {
    match (touch.kind, touch.alone) {
        (TouchKind::Unsubscribe | TouchKind::WebVersion, alone) => alone,
        (_, TouchClass::Proxy) if touch.after_delivery_ms() < AHEAD_MS => TouchClass::Prefetch,
        (_, TouchClass::Human) if proven => TouchClass::Scanner,
        (_, alone) => alone,
    }
}

/// What is being judged, and what is proven so far.
struct Court<'e> {
    touches: &'e [Evidence],
    /// The touches of each mail, in the order of time.
    mails: Vec<Vec<usize>>,
    proven: Vec<bool>,
}

impl<'e> Court<'e> {
    fn new(touches: &'e [Evidence]) -> Court<'e> {
        let mut places: HashMap<(i64, i64), usize> = HashMap::new();
        let mut mails: Vec<Vec<usize>> = Vec::new();
        for (n, touch) in touches.iter().enumerate() {
            if matches!(touch.kind, TouchKind::Open | TouchKind::Click) {
                let place = *places.entry(touch.message).or_insert(mails.len());
                if place == mails.len() {
                    mails.push(Vec::new());
                }
                mails[place].push(n);
            }
        }
        Court { touches, mails, proven: touches.iter().map(|touch| touch.alone == TouchClass::Scanner).collect() }
    }

    fn each_mail(&mut self, rule: fn(&Court<'e>, &[usize]) -> Vec<usize>) {
        let found: Vec<usize> = self.mails.iter().flat_map(|mail| rule(self, mail)).collect();
        found.into_iter().for_each(|n| self.proven[n] = true);
    }

    /// Machines by the links of one mail: hidden, too soon, too many at once, from two networks at once, checked.
    fn by_links(&self, mail: &[usize]) -> Vec<usize> {
        let clicks: Vec<usize> = mail.iter().copied().filter(|n| self.touches[*n].is_click()).collect();
        let mut found = Vec::new();
        for (from, first) in clicks.iter().enumerate() {
            let touch = &self.touches[*first];
            if touch.place.0 == HIDDEN_SLOT || touch.after_delivery_ms() < TOO_SOON_MS {
                found.push(*first);
            }
            let within = |ms: i64| {
                let until = clicks[from..].partition_point(|n| self.touches[*n].at_ms - touch.at_ms < ms);
                &clicks[from..from + until]
            };
            let links = |of: &[usize]| of.iter().map(|n| self.touches[*n].place).collect::<HashSet<_>>().len();
            let paces = [(BURST_MS, BURST_LINKS), (MINUTE_MS, MANY_LINKS), (AROUND_MS, MOST_LINKS)];
            for (burst, most) in paces.map(|(ms, most)| (within(ms), most)) {
                if links(burst) >= most {
                    found.extend_from_slice(burst);
                }
            }
            let elsewhere = |n: &&usize| self.touches[**n].network != touch.network;
            for other in within(BURST_MS).iter().filter(elsewhere).filter(|n| self.touches[**n].place != touch.place) {
                found.extend([*first, *other]);
            }
            let reader = |n: &&usize| self.touches[**n].place == touch.place && self.touches[**n].agent != touch.agent;
            if within(CHECK_MS).iter().filter(elsewhere).any(|n| reader(&n)) {
                found.push(*first);
            }
        }
        found
    }

    /// One browser that comes from network after network is a cloud's, each request from another of its machines.
    fn by_networks(&self, mail: &[usize]) -> Vec<usize> {
        let mut found = Vec::new();
        for (from, first) in mail.iter().enumerate() {
            let touch = &self.touches[*first];
            let until = mail[from..].partition_point(|n| self.touches[*n].at_ms - touch.at_ms < AROUND_MS);
            let same = |n: &&usize| self.touches[**n].agent == touch.agent && self.touches[**n].is_click();
            let around: Vec<usize> = mail[from..from + until].iter().filter(same).copied().collect();
            let networks: HashSet<u64> = around.iter().map(|n| self.touches[*n].network).collect();
            let links: HashSet<_> = around.iter().map(|n| self.touches[*n].place).collect();
            if networks.len() >= NETWORKS_OF_A_BROWSER && links.len() > NETWORKS_OF_A_BROWSER {
                found.extend(around);
            }
        }
        found
    }

    /// Whoever is like a proven machine, at the same mail and about the same time, is the same machine.
    fn by_company(&self, mail: &[usize]) -> Vec<usize> {
        let machines: Vec<&Evidence> = mail.iter().filter(|n| self.proven[**n]).map(|n| &self.touches[*n]).collect();
        let same = |touch: &Evidence, machine: &Evidence| {
            let apart_ms = (touch.at_ms - machine.at_ms).abs();
            let (agent, network) = (touch.agent == machine.agent, touch.network == machine.network);
            (apart_ms <= MINUTE_MS && agent) || (apart_ms <= AROUND_MS && agent && network)
        };
        let suspect = |n: &usize| machines.iter().any(|machine| same(&self.touches[*n], machine));
        mail.iter().copied().filter(suspect).collect()
    }

    /// An agent at a network that was proven in several mails is a machine in all of them.
    fn by_machine(&mut self) {
        let machine = |n: usize| (self.touches[n].network, self.touches[n].agent);
        let mut seen: HashMap<(u64, u64), Vec<usize>> = HashMap::new();
        for n in (0..self.touches.len()).filter(|n| self.proven[*n]) {
            seen.entry(machine(n)).or_default().push(n);
        }
        let mut found = Vec::new();
        for (n, touch) in self.touches.iter().enumerate() {
            let near = seen.get(&machine(n)).map_or(&[][..], |at| self.near(at, touch.at_ms));
            let mails: HashSet<_> = near.iter().map(|n| self.touches[*n].message).collect();
            if mails.len() >= PROVEN_MAILS {
                found.push(n);
            }
        }
        found.into_iter().for_each(|n| self.proven[n] = true);
    }

    /// One network clicks for many readers of many domains with few agents. An office has one domain or a few, a
    /// carrier's customers have as many agents as telephones.
    fn by_shared_address(&mut self) {
        let mut clicks: HashMap<u64, Vec<usize>> = HashMap::new();
        for (n, touch) in self.touches.iter().enumerate().filter(|(_, touch)| touch.is_click()) {
            clicks.entry(touch.network).or_default().push(n);
        }
        for at in clicks.into_values().filter(|at| at.len() >= SHARED_READERS) {
            for n in &at {
                let near = self.near(&at, self.touches[*n].at_ms).iter().map(|n| &self.touches[*n]);
                let (mut readers, mut domains, mut agents) = (HashSet::new(), HashSet::new(), HashSet::new());
                for touch in near {
                    readers.insert(touch.message);
                    domains.insert(touch.domain);
                    agents.insert(touch.agent);
                }
                let many = readers.len() >= SHARED_READERS && domains.len() >= SHARED_DOMAINS;
                self.proven[*n] |= many && agents.len() * READERS_OF_AN_AGENT <= readers.len();
            }
        }
    }

    /// Where a domain's mails are mostly scanned in their first minute, every click of that minute is the scanner's.
    fn by_domain(&mut self) {
        type Mails = HashSet<(i64, i64)>;
        let early = |touch: &Evidence| touch.is_click() && touch.after_delivery_ms() < MINUTE_MS;
        let mut domains: HashMap<u64, (Mails, Mails)> = HashMap::new();
        for (n, touch) in self.touches.iter().enumerate().filter(|(_, touch)| early(touch) && touch.domain != 0) {
            let (all, proven) = domains.entry(touch.domain).or_default();
            all.insert(touch.message);
            if self.proven[n] {
                proven.insert(touch.message);
            }
        }
        for (n, touch) in self.touches.iter().enumerate().filter(|(_, touch)| early(touch)) {
            let scanned = domains
                .get(&touch.domain)
                .is_some_and(|(all, proven)| proven.len() >= SCANNED_MAILS && proven.len() * 2 >= all.len());
            self.proven[n] |= scanned;
        }
    }

    /// Of touches in the order of time, those around an instant.
    fn near<'a>(&self, at: &'a [usize], at_ms: i64) -> &'a [usize] {
        let from = at.partition_point(|n| self.touches[*n].at_ms < at_ms - AROUND_MS);
        let until = at.partition_point(|n| self.touches[*n].at_ms <= at_ms + AROUND_MS);
        &at[from..until]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 60 * MINUTE_MS;

    /// A click of a person an hour after delivery, to be changed.
    fn click(at_ms: i64, slot: u16) -> Evidence {
        Evidence {
            at_ms: HOUR_MS + at_ms,
            message: (1, 1),
            domain: 7,
            sent_at_ms: Some(0),
            kind: TouchKind::Click,
            place: (slot, 0),
            alone: TouchClass::Human,
            agent: 1,
            network: 1,
        }
    }

    fn scanners(touches: &[Evidence]) -> Vec<bool> {
        judge(touches).into_iter().map(|class| class == TouchClass::Scanner).collect()
    }

    #[test]
    fn a_burst_is_a_machine_s_and_two_fast_clicks_are_a_person_s() {
        assert_eq!(scanners(&[click(0, 1), click(300, 2)]), [false, false]);
        assert_eq!(scanners(&[click(0, 1), click(200, 1), click(400, 1)]), [false; 3], "one link, thrice");
        assert_eq!(
            scanners(&[click(0, 1), click(300, 2), click(900, 3), click(MINUTE_MS * 30, 1)]),
            [true, true, true, false]
        );
    }

    #[test]
    fn the_hidden_link_gives_its_follower_away_and_nobody_else() {
        let reader = Evidence { agent: 2, network: 2, ..click(40_000, 1) };
        let pixel = Evidence { kind: TouchKind::Open, ..click(500, 0) };
        let all = [click(0, HIDDEN_SLOT), pixel, click(30_000, 1), reader];
        assert_eq!(scanners(&all), [true, true, true, false]);
    }

    #[test]
    fn too_soon_is_nobody_and_a_check_goes_before_its_reader() {
        let soon = Evidence { at_ms: 2_000, ..click(0, 1) };
        assert_eq!(scanners(&[soon]), [true]);
        let reader = Evidence { agent: 2, network: 2, ..click(900, 1) };
        assert_eq!(scanners(&[click(0, 1), reader]), [true, false]);
    }

    #[test]
    fn one_browser_from_three_networks_is_a_cloud_and_from_two_a_telephone_on_its_way() {
        let from = |networks: u64| -> Vec<Evidence> {
            (0..4).map(|n| Evidence { network: n as u64 % networks, ..click(n * 2 * MINUTE_MS, n as u16) }).collect()
        };
        assert_eq!(scanners(&from(3)), [true; 4]);
        assert_eq!(scanners(&from(2)), [false; 4]);
        // Three readers of a mail that was passed on.
        let readers: Vec<Evidence> =
            from(3).into_iter().enumerate().map(|(n, click)| Evidence { agent: n as u64, ..click }).collect();
        assert_eq!(scanners(&readers), [false; 4]);
    }

    #[test]
    fn consent_is_not_undone_and_a_proxy_that_comes_at_once_comes_ahead() {
        let kind = TouchKind::Unsubscribe;
        let leaves = Evidence { kind, ..click(1_000, 0) };
        assert_eq!(judge(&[click(0, HIDDEN_SLOT), leaves])[1], TouchClass::Human);
        let proxy = Evidence { kind: TouchKind::Open, alone: TouchClass::Proxy, ..click(0, 0) };
        assert_eq!(judge(std::slice::from_ref(&proxy)), [TouchClass::Proxy]);
        assert_eq!(judge(&[Evidence { at_ms: 4_000, ..proxy }]), [TouchClass::Prefetch]);
    }

    #[test]
    fn one_address_of_many_domains_is_a_gateway_of_one_domain_an_office() {
        let many = |domains: u64| -> Vec<Evidence> {
            (0..30)
                .map(|n| Evidence { message: (1, n), domain: 1 + n as u64 % domains, ..click(n * 9_000, 1) })
                .collect()
        };
        assert!(scanners(&many(10)).iter().all(|scanner| *scanner));
        assert!(scanners(&many(1)).iter().all(|scanner| !*scanner));
    }
}
