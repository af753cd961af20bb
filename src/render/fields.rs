//! What a template sees: every field of the context, with what it is. `template check --fields` prints this.

/// Every field, dotted. The first part of each is a name that templates may use.
pub const FIELDS: &[(&str, &str)] = &[
    ("member.first_name", "given name, empty where unknown"),
    ("member.last_name", "family name, empty where unknown"),
    ("member.name", "both, or the one that is known, or empty"),
    ("member.email", "the address"),
    ("member.external_id", "the shop's own id, empty where unknown"),
    ("member.locale", "the profile's locale, as zh-Hans-CN"),
    ("member.zone", "the profile's time zone, as Asia/Shanghai"),
    ("member.market", "whose prices and stock count, empty where there is only one market"),
    ("member.points", "the points balance, seconds before the mail is made"),
    ("member.orders", "how many orders"),
    ("member.revenue", "what they came to, minor units"),
    ("member.last_order_at", "the last order's time, none without one"),
    ("attr.x", "the profile's attribute x; undefined where the member has none: {{ attr.x or \"…\" }}"),
    ("points", "the points balance"),
    ("locale", "the locale of the part that is rendered"),
    ("subject", "the rendered subject (in HTML and text)"),
    ("preheader", "the rendered preheader (in HTML and text)"),
    ("campaign.name", "the campaign"),
    ("campaign.topic", "what its readers consented to"),
    ("sender.name", "display name of From"),
    ("sender.from", "address of From"),
    ("sender.reply_to", "address of Reply-To"),
    ("sender.postal_address", "where the sender is found"),
    ("public_url", "where the daemon's own pages are"),
    ("today", "the day in the member's zone, as 2026-11-26"),
];

/// Whether `name` starts a field.
pub fn is_root(name: &str) -> bool {
    FIELDS.iter().any(|(field, _)| field.split('.').next() == Some(name))
}

/// The names below `root`; empty where there are none, or any.
pub fn below(root: &str) -> Vec<&'static str> {
    if root == "attr" {
        return Vec::new();
    }
    let inner = |(field, _): &(&'static str, &str)| field.strip_prefix(root).and_then(|rest| rest.strip_prefix('.'));
    FIELDS.iter().filter_map(inner).collect()
}
