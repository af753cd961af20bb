//! What is the same for every mail of a run, made once.

use tera::{Map, Value};

use crate::base::World;
use crate::domain::campaign::MailClass;

use super::bounds::RENDER_MS_MAX;
use super::dkim::Signers;
use super::encode::{display_name, fold_into};

/// As whom a mail is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sender {
    /// The `[[sender]]`'s name in the config; a part of `Feedback-ID`.
    pub key: String,
    /// Display name of `From`.
    pub name: String,
    /// Address of `From`.
    pub from: String,
    pub reply_to: String,
    /// Where bounces and unsubscribe mails come back to.
    pub bounce_domain: String,
    pub postal_address: String,
}

/// What is the same for every mail of a run.
#[derive(Debug, Clone)]
pub struct Stationery {
    /// 0 for previews: their tokens prove nothing.
    pub run: u32,
    pub campaign: String,
    pub topic: String,
    pub class: MailClass,
    pub sender: Sender,
    /// Where `/o/`, `/c/`, `/u/`, `/p/` and `/v/` are served, without a slash at its end.
    pub public_url: String,
    /// What signs these mails; empty: nothing of ours.
    pub signers: Signers,
    /// Who tells when a rendering has taken too long, and how long that is, milliseconds.
    pub(super) clock: Option<(World, i64)>,
    /// Header lines that no member changes.
    pub(super) head: String,
    pub(super) from_domain: String,
    /// The last field of `Feedback-ID`, 5 to 15 characters.
    pub(super) sender_id: String,
    pub(super) campaign_value: Value,
    pub(super) sender_value: Value,
}

impl Stationery {
    pub fn new(
        run: u32,
        campaign: &str,
        topic: &str,
        class: MailClass,
        sender: Sender,
        public_url: &str,
    ) -> Stationery {
        let from_domain = sender.from.rsplit('@').next().unwrap_or_default().to_owned();
        let text = |entries: &[(&'static str, &str)]| {
            let entries = entries.iter().map(|(key, text)| ((*key).into(), Value::from(*text)));
            Value::from(entries.collect::<Map>())
        };
        Stationery {
            run,
            campaign: campaign.to_owned(),
            topic: topic.to_owned(),
            class,
            public_url: public_url.trim_end_matches('/').to_owned(),
            signers: Signers::default(),
            clock: None,
            head: head(run, topic, class, &sender, &from_domain),
            sender_id: sender_id(&sender.key, &from_domain),
            campaign_value: text(&[("name", campaign), ("topic", topic)]),
            sender_value: text(&[
                ("name", &sender.name),
                ("from", &sender.from),
                ("reply_to", &sender.reply_to),
                ("postal_address", &sender.postal_address),
            ]),
            from_domain,
            sender,
        }
    }

    /// The same, each mail rendered within [`RENDER_MS_MAX`] by the clock of `world`.
    pub fn timed(self, world: &World) -> Stationery {
        self.timed_within(world, RENDER_MS_MAX)
    }

    /// The same, each mail rendered within `ms`.
    pub fn timed_within(mut self, world: &World, ms: i64) -> Stationery {
        self.clock = Some((world.clone(), ms));
        self
    }

    /// The same, signed by those of `keys` that are the sender's domain's.
    pub fn signed_by(mut self, keys: &Signers) -> Stationery {
        self.signers = keys.of(&self.from_domain);
        self
    }
}

/// From to X-Auto-Response-Suppress: what only the run decides (`Auto-Submitted` for what nobody subscribed to by
/// hand, `Precedence` and the list headers for what they did). RFC 2919, 3834, 5322.
fn head(run: u32, topic: &str, class: MailClass, sender: &Sender, from_domain: &str) -> String {
    let mut out = String::with_capacity(600);
    fold_into(&mut out, "From", &format!("{} <{}>", display_name(&sender.name), sender.from));
    if !sender.reply_to.is_empty() {
        fold_into(&mut out, "Reply-To", &format!("<{}>", sender.reply_to));
    }
    if class == MailClass::Marketing {
        let list = format!("{}.{from_domain}", label(topic));
        fold_into(&mut out, "List-Id", &format!("{} <{list}>", display_name(topic)));
        fold_into(&mut out, "Precedence", "bulk");
    } else {
        fold_into(&mut out, "Auto-Submitted", "auto-generated");
    }
    fold_into(&mut out, "X-Postmaster-Msgtype", &format!("c{run}"));
    fold_into(&mut out, "CFBL-Address", &format!("fbl@{}; report=arf", sender.bounce_domain));
    fold_into(&mut out, "X-Auto-Response-Suppress", "OOF, AutoReply");
    out
}

/// A topic as a domain label: what is no letter or digit becomes a hyphen.
pub(super) fn label(text: &str) -> String {
    let label: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).take(63).collect();
    let label = label.trim_matches('-');
    if label.is_empty() { "list".to_owned() } else { label.to_owned() }
}

fn sender_id(key: &str, domain: &str) -> String {
    let letters = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let mut id = letters(key);
    if id.len() < 5 {
        id.push_str(&letters(domain));
    }
    id.push_str(if id.len() < 5 { "sender" } else { "" });
    id.truncate(15);
    id
}
