//! What a sender publishes in DNS so that its mail is believed, judged: SPF (RFC 7208), DKIM keys (RFC 6376, 8463),
//! DMARC (RFC 9989).

use std::collections::BTreeMap;

/// Terms of an SPF record that cost its reader a lookup; more than this many in all and the record fails
/// (RFC 7208 §4.6.4).
pub const SPF_LOOKUPS_MAX: usize = 10;

/// Something wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Mail is refused or lands among spam for it; else it only could be better.
    pub is_grave: bool,
    pub what: String,
    pub fix: String,
}

fn grave(what: impl Into<String>, fix: impl Into<String>) -> Flaw {
    Flaw { is_grave: true, what: what.into(), fix: fix.into() }
}

fn mild(what: impl Into<String>, fix: impl Into<String>) -> Flaw {
    Flaw { is_grave: false, what: what.into(), fix: fix.into() }
}

/// `name=value; …` as DKIM and DMARC write it; blanks around names and values do not count.
pub fn tags(record: &str) -> BTreeMap<String, String> {
    let pairs = record.split(';').filter_map(|tag| tag.split_once('='));
    pairs.map(|(name, value)| (name.trim().to_lowercase(), value.trim().to_owned())).collect()
}

/// The SPF record among a domain's texts, or why there is no use in it.
///
/// # Errors
/// When there is none, or several.
pub fn spf<'t>(texts: &'t [String], domain: &str) -> Result<&'t str, Flaw> {
    let is_spf = |text: &&String| {
        let text = text.to_lowercase();
        text == "v=spf1" || text.starts_with("v=spf1 ")
    };
    let found: Vec<&String> = texts.iter().filter(is_spf).collect();
    match found[..] {
        [one] => Ok(one),
        [] => Err(grave(
            format!("{domain} has no SPF record"),
            format!("publish a TXT record at {domain}: \"v=spf1 include:YOUR-RELAY ~all\""),
        )),
        _ => Err(grave(format!("{domain} has {} SPF records, so none counts", found.len()), "merge them into one")),
    }
}

/// The domains whose records a record includes, and how many lookups it costs by itself.
pub fn spf_lookups(record: &str) -> (Vec<String>, usize) {
    let (mut includes, mut cost) = (Vec::new(), 0);
    for term in record.split_ascii_whitespace().skip(1) {
        let term = term.trim_start_matches(['+', '-', '~', '?']).to_lowercase();
        let mechanism = term.split([':', '/', '=']).next().unwrap_or_default();
        cost += usize::from(["include", "a", "mx", "ptr", "exists", "redirect"].contains(&mechanism));
        includes.extend(term.strip_prefix("include:").or_else(|| term.strip_prefix("redirect=")).map(str::to_owned));
    }
    (includes, cost)
}

/// What is wrong with an SPF record's own words.
pub fn spf_flaws(record: &str) -> Vec<Flaw> {
    let terms: Vec<String> = record.split_ascii_whitespace().skip(1).map(str::to_lowercase).collect();
    let has = |wanted: &[&str]| terms.iter().any(|term| wanted.contains(&term.as_str()));
    let mut flaws = Vec::new();
    if has(&["+all", "all"]) {
        flaws.push(grave("its SPF record lets the whole world send (+all)", "end it with ~all or -all"));
    } else if has(&["?all"]) || !(has(&["-all", "~all"]) || terms.iter().any(|term| term.starts_with("redirect="))) {
        flaws.push(mild("its SPF record does not say what other servers' mail is", "end it with ~all or -all"));
    }
    if terms.iter().any(|term| term == "ptr" || term.starts_with("ptr:")) {
        flaws.push(mild(
            "its SPF record uses ptr, which receivers may ignore (RFC 7208 §5.5)",
            "list the servers by ip4, ip6 or include",
        ));
    }
    flaws
}

/// What is wrong with what stands under a selector, for a key whose own record is `wanted`.
pub fn dkim_flaws(texts: &[String], wanted: &str, name: &str) -> Vec<Flaw> {
    let publish = format!("publish a TXT record at {name}: \"{wanted}\"");
    let [text] = texts else {
        let what = match texts.len() {
            0 => "there is no record of this key".to_owned(),
            n => format!("there are {n} records, so which one counts is chance"),
        };
        return vec![grave(what, publish)];
    };
    let (found, ours) = (tags(text), tags(wanted));
    let bare = |key: Option<&String>| key.map(|key| key.split_whitespace().collect::<String>()).unwrap_or_default();
    let mut flaws = Vec::new();
    if found.get("v").is_some_and(|version| version != "DKIM1") {
        flaws.push(grave("its record is of another version than DKIM1", publish.clone()));
    }
    match bare(found.get("p")) {
        key if key.is_empty() => flaws.push(grave("its record says that the key is revoked (an empty p=)", publish)),
        key if key != bare(ours.get("p")) => {
            flaws.push(grave("its record holds another key than key_file: every signature fails", publish));
        }
        _ if found.get("k").map_or("rsa", String::as_str) != ours["k"] => {
            flaws.push(grave("its record gives the key another kind (k=)", publish));
        }
        _ => {}
    }
    let flags = found.get("t").map(String::as_str).unwrap_or_default();
    if flags.split(':').any(|flag| flag.trim() == "y") {
        flaws.push(mild("its record says that signing is only tried out (t=y)", "remove t=y when mails verify"));
    }
    flaws
}

/// The DMARC record among the texts at `_dmarc.DOMAIN`; of several none counts (RFC 9989 §4.7).
pub fn dmarc(texts: &[String]) -> Option<&String> {
    let mut found = texts.iter().filter(|text| tags(text).get("v").is_some_and(|version| version == "DMARC1"));
    found.next().filter(|_| found.next().is_none())
}

/// What is wrong with a DMARC record for mail from `from`, signed as `signed` and returned to `bounce`.
pub fn dmarc_flaws(record: &str, from: &str, signed: &[&str], bounce: &str) -> Vec<Flaw> {
    let tags = tags(record);
    let tag = |name: &str| tags.get(name).map(String::as_str);
    let mut flaws = Vec::new();
    match tag("p") {
        Some("quarantine" | "reject") => {}
        Some("none") | None => flaws.push(mild(
            "its DMARC policy asks for nothing (p=none)",
            "read the reports, then raise it to p=quarantine and p=reject",
        )),
        Some(other) => {
            flaws.push(grave(format!("its DMARC policy {other:?} is none"), "write p=none, quarantine or reject"))
        }
    }
    if let Some(pct) = tag("pct") {
        let what = format!("its DMARC record has pct={pct}, which RFC 9989 took away");
        flaws.push(mild(what, "remove pct; write t=y while the policy is only tried out"));
    }
    for gone in ["rf", "ri"].into_iter().filter(|gone| tags.contains_key(*gone)) {
        flaws.push(mild(format!("its DMARC record has {gone}, which RFC 9989 took away"), format!("remove {gone}")));
    }
    if tag("rua").is_none() {
        flaws.push(mild(
            "its DMARC record asks for no reports",
            "add rua=mailto:ADDRESS to learn who sends in its name",
        ));
    }
    let strict_key = tag("adkim") == Some("s");
    let aligned = signed.iter().any(|domain| *domain == from || (!strict_key && from.ends_with(&format!(".{domain}"))));
    let strict_path = tag("aspf") == Some("s");
    let path = bounce == from
        || (!strict_path && (bounce.ends_with(&format!(".{from}")) || from.ends_with(&format!(".{bounce}"))));
    if !aligned && !path {
        flaws.push(grave(
            "neither a signature of ours nor the bounce domain aligns with from: DMARC fails",
            format!("sign with a [[dkim]] of {from}, or set bounce_domain to it or below"),
        ));
    }
    flaws
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(flaws: &[Flaw]) -> String {
        flaws.iter().map(|flaw| format!("{}{}; ", if flaw.is_grave { "!" } else { "" }, flaw.what)).collect()
    }

    #[test]
    fn spf_is_one_record_that_ends() {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert!(spf(&texts(&["v=spf1 -all", "other"]), "a.example").is_ok());
        assert!(spf(&texts(&["v=spf10 -all"]), "a.example").unwrap_err().what.contains("no SPF"));
        assert!(spf(&texts(&["v=spf1 -all", "v=spf1 ~all"]), "a.example").unwrap_err().what.contains("2 SPF"));
        assert!(spf_flaws("v=spf1 mx -all").is_empty());
        assert!(said(&spf_flaws("v=spf1 all")).starts_with("!its SPF record lets"));
        assert!(
            said(&spf_flaws("v=spf1 ptr ?all")).contains("does not say") && spf_flaws("v=spf1 ptr ?all").len() == 2
        );
        assert_eq!(spf_lookups("v=spf1 a mx/24 ip4:1.2.3.4 include:x.example ~all"), (vec!["x.example".into()], 3));
    }

    #[test]
    fn dmarc_wants_alignment_and_no_pct() {
        let flaws = |record, signed: &[&str], bounce| said(&dmarc_flaws(record, "news.a.example", signed, bounce));
        assert_eq!(flaws("v=DMARC1; p=reject; rua=mailto:d@a.example", &["a.example"], "other.example"), "");
        assert!(flaws("v=DMARC1; p=reject; rua=x; pct=50", &["a.example"], "").contains("pct=50, which RFC 9989"));
        assert!(flaws("v=DMARC1; p=reject; rua=x; adkim=s", &["a.example"], "other.example").contains("!neither"));
        assert_eq!(flaws("v=DMARC1; p=reject; rua=x; adkim=s", &["a.example"], "b.news.a.example"), "");
    }

    #[test]
    fn a_key_must_be_the_one_that_signs() {
        let flaws =
            |text: &str| said(&dkim_flaws(&[text.to_owned()], "v=DKIM1; k=rsa; p=QUJD", "s._domainkey.a.example"));
        assert_eq!(flaws("k=rsa; p=QU JD"), "");
        assert_eq!(flaws("v=DKIM1; p=QUJD"), "");
        assert!(flaws("v=DKIM1; p=").contains("revoked") && flaws("v=DKIM1; p=QUJE").contains("another key"));
        assert!(
            flaws("v=DKIM1; k=ed25519; p=QUJD").contains("another kind") && flaws("p=QUJD; t=y").contains("tried out")
        );
        assert!(dkim_flaws(&[], "v=DKIM1; k=rsa; p=QUJD", "n")[0].fix.contains("p=QUJD"));
    }
}
