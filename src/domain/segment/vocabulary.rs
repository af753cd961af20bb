//! The names of the language, and the nearest one to a name that is none of them.

use super::ast::Field;

/// Functions that give a condition or a value.
pub(super) const FUNCTIONS: &[&str] = &[
    "tag",
    "has_tag",
    "did",
    "count",
    "sum",
    "first",
    "last",
    "viewed",
    "added",
    "bought",
    "opened",
    "clicked",
    "received",
    "consent",
    "reachable",
    "suppressed",
    "bucket",
    "in_segment",
    "date",
    "now",
];

/// Names of the language whose tables do not exist yet.
const LATER: &[&str] = &[
    "owns",
    "points_expiring",
    "tier",
    "stamps",
    "referrals",
    "aov",
    "rfm",
    "price_band",
    "identifier",
    "anniversary",
    "age",
    "answer",
    "profile_level",
    "held_out",
    "entry",
    "event",
    "ctx",
    "period",
    "top_category",
    "oldest_owned",
    "next_expiry",
    "complements",
    "lag",
];

/// Arguments that come with later tables.
const LATER_ARGUMENTS: &[&str] = &["where", "block"];

/// What to say of a field that does not exist.
pub(super) fn unknown_field(name: &str) -> String {
    if LATER.contains(&name) {
        return not_yet(name);
    }
    if FUNCTIONS.contains(&name) {
        return format!("`{name}` is a function: write `{name}(…)`");
    }
    if name == "attr" {
        return "an attribute needs its name: `attr.city`, or `attr.\"any name\"`".to_owned();
    }
    let fields = Field::ALL.iter().map(|field| field.as_str());
    match nearest(name, fields.chain(FUNCTIONS.iter().copied())) {
        Some(near) => format!("`{name}` is not a field; did you mean `{near}`?"),
        None => format!("`{name}` is not a field; a member's own attributes are written `attr.{name}`"),
    }
}

/// What to say of a function that does not exist.
pub(super) fn unknown_function(name: &str) -> String {
    if LATER.contains(&name) {
        return not_yet(name);
    }
    if name.parse::<Field>().is_ok() {
        return format!("`{name}` is a field, not a function: write it without parentheses");
    }
    match nearest(name, FUNCTIONS.iter().copied()) {
        Some(near) => format!("`{name}` is not a function; did you mean `{near}`?"),
        None => format!("`{name}` is not a function; there are {}", FUNCTIONS.join(", ")),
    }
}

/// What to say of an argument that `function` does not take.
pub(super) fn unknown_argument(function: &str, name: &str, known: &[&str]) -> String {
    if LATER_ARGUMENTS.contains(&name) {
        return format!("`{name}:` is not yet known in this version of indicia");
    }
    if known.is_empty() {
        return format!("`{function}` takes no argument called `{name}`");
    }
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("`{function}` takes no argument `{name}:`; did you mean `{near}:`?"),
        None => format!("`{function}` takes no argument `{name}:`; it takes {}:", known.join(":, ")),
    }
}

fn not_yet(name: &str) -> String {
    format!("`{name}` is not yet known in this version of indicia")
}

/// The known name that `name` was most likely meant to be, if any is near.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters: Vec<char> = name.to_lowercase().chars().take(NAME_CHARS_MAX).collect();
    let reach = (letters.len() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|known| {
            (distance(&letters, &known.to_lowercase().chars().take(NAME_CHARS_MAX).collect::<Vec<_>>()), known)
        })
        .filter(|(distance, _)| *distance <= reach)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Letters compared of a name: enough to be near, few enough to be quick.
const NAME_CHARS_MAX: usize = 60;

/// Edits from one word to the other, two letters changing places counting as one (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            let mut least = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_word_and_nonsense_does_not() {
        let known = ["points", "orders", "opened"];
        assert_eq!(nearest("pionts", known), Some("points"));
        assert_eq!(nearest("Order", known), Some("orders"));
        assert_eq!(nearest("opend", known), Some("opened"));
        assert_eq!(nearest("balance", known), None);
    }
}
