//! What a member did in a mail, and whether it was a person.
//!
//! The raw evidence of a touch is kept; its class is a versioned function of it. Here it is judged by method and user
//! agent alone, at once and provisionally; [`people`](super::people) judges it for good, by all that happened around
//! it.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use serde::Deserialize;

use crate::text_enum;

/// Version of [`Agents::classify`], its list and [`people::judge`](super::people::judge): the same evidence has the
/// same class within one version.
pub const CLASS_VERSION: u32 = 2;

/// The list of user agents the program brings with it.
const AGENTS: &str = include_str!("../../config/agents.toml");

/// The user agent Apple's Mail Privacy Protection loads pictures with, whole.
const APPLE_PREFETCH: &str = "Mozilla/5.0";

text_enum! {
    /// What was done.
    pub enum TouchKind { Open = "open", Click = "click", Unsubscribe = "unsubscribe", WebVersion = "web_version" }
}

text_enum! {
    /// Who did it.
    pub enum TouchClass {
        /// A person, as far as the evidence goes.
        Human = "human",
        /// A mail service's picture proxy: probably a person looking, once, nobody knows where.
        Proxy = "proxy",
        /// A machine loading pictures ahead of any reading: says nothing about a person.
        Prefetch = "prefetch",
        /// A security gateway, a preview, a crawler.
        Scanner = "scanner",
    }
}

/// The known user agents, ready to be searched for in one pass.
pub struct Agents {
    pieces: AhoCorasick,
    /// What the piece of each pattern number stands for.
    means: Vec<Means>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    Person,
    Proxy,
    Scanner,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    proxy: Vec<String>,
    scanner: Vec<String>,
    person: Vec<String>,
}

impl Default for Agents {
    fn default() -> Agents {
        Agents::new()
    }
}

impl Agents {
    /// The list the program brings with it.
    pub fn new() -> Agents {
        let list: List = toml::from_str(AGENTS).expect("the embedded list of agents is well-formed");
        let kinds = [(Means::Person, list.person), (Means::Proxy, list.proxy), (Means::Scanner, list.scanner)];
        let (means, pieces): (Vec<Means>, Vec<String>) =
            kinds.into_iter().flat_map(|(means, pieces)| pieces.into_iter().map(move |piece| (means, piece))).unzip();
        let pieces = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::DFA))
            .match_kind(MatchKind::LeftmostLongest)
            .build(pieces)
            .expect("a short list of short pieces");
        Agents { pieces, means }
    }

    /// The provisional class of one touch by its method and user agent. `HEAD` and `OPTIONS` are a
    /// scanner's, so is an empty user agent; a picture proxy that follows a link is a machine.
    pub fn classify(&self, kind: TouchKind, method: &str, agent: &str) -> TouchClass {
        if !matches!(method, "GET" | "POST") || agent.trim().is_empty() {
            return TouchClass::Scanner;
        }
        let opened = kind == TouchKind::Open;
        match self.means(agent) {
            Means::Proxy if opened => TouchClass::Proxy,
            Means::Proxy | Means::Scanner => TouchClass::Scanner,
            Means::Person if opened && agent == APPLE_PREFETCH => TouchClass::Prefetch,
            Means::Person => TouchClass::Human,
        }
    }

    /// A picture proxy's name outweighs whatever else the agent says of itself.
    fn means(&self, agent: &str) -> Means {
        let found = self.pieces.find_iter(agent).map(|found| self.means[found.pattern().as_usize()]);
        found.fold(Means::Person, |so_far, next| match (so_far, next) {
            (Means::Proxy, _) | (_, Means::Proxy) => Means::Proxy,
            (Means::Scanner, _) | (_, Means::Scanner) => Means::Scanner,
            _ => Means::Person,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    const GMAIL: &str = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)";
    const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
        Version/18.5 Mobile/15E148 Safari/604.1";

    #[test]
    fn each_class_by_its_evidence() {
        let agents = Agents::new();
        use TouchClass as C;
        use TouchKind as K;
        for (kind, method, agent, class) in [
            (K::Open, "GET", FIREFOX, C::Human),
            (K::Click, "GET", IPHONE, C::Human),
            (K::Unsubscribe, "POST", FIREFOX, C::Human),
            (K::Open, "GET", GMAIL, C::Proxy),
            (K::Click, "GET", GMAIL, C::Scanner),
            (K::Open, "GET", "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", C::Proxy),
            (K::Open, "GET", "Mozilla/5.0", C::Prefetch),
            (K::Click, "GET", "Mozilla/5.0", C::Human),
            (K::Open, "HEAD", FIREFOX, C::Scanner),
            (K::Click, "OPTIONS", FIREFOX, C::Scanner),
            (K::Open, "GET", " ", C::Scanner),
            (K::Click, "GET", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", C::Scanner),
            (K::Click, "GET", "python-requests/2.32", C::Scanner),
            (K::Click, "GET", "CURL/8.5.0", C::Scanner),
            (K::Click, "GET", "Mozilla/5.0 (X11) AppleWebKit/537.36 HeadlessChrome/140.0 Safari/537.36", C::Scanner),
            (K::Click, "GET", "Mozilla/5.0 (Linux; Android 13; CUBOT X70) Chrome/140.0 Mobile Safari", C::Human),
        ] {
            assert_eq!(agents.classify(kind, method, agent), class, "{kind} {method} {agent}");
        }
    }
}
