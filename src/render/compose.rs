//! The mail itself: headers and two parts, ASCII with CRLF, written once into one buffer.

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use jiff::{Timestamp, tz::TimeZone};

use crate::base::token::{Keyring, Token, Use};
use crate::domain::campaign::MailClass;
use crate::domain::member::Member;

use super::encode::{body_into, display_name, fold_into, smaller, unstructured};
use super::stationery::Stationery;
use super::stationery::label;

/// What a mail is made of.
pub struct Letter<'l> {
    pub stationery: &'l Stationery,
    pub member: &'l Member,
    pub message_id: i64,
    pub date_ms: i64,
    pub locale: &'l str,
    pub subject: &'l str,
    pub html: &'l [u8],
    pub text: &'l [u8],
}

/// The envelope sender and the mail. Date and Message-ID depend on the message alone, so every retry is the same copy.
pub fn compose(letter: &Letter<'_>, keyring: &Keyring) -> (String, Vec<u8>) {
    let stationery = letter.stationery;
    let token = Token::of(stationery.run, letter.message_id);
    let verp = keyring.seal_local_part(Use::Verp, &token);
    let boundary = boundary(stationery.run, letter.message_id);
    let mut head = String::with_capacity(2048);
    head.push_str(&stationery.head);
    personal_head(&mut head, letter, keyring, &token, &verp);
    fold_into(&mut head, "MIME-Version", "1.0");
    fold_into(&mut head, "Content-Type", &format!("multipart/alternative; boundary=\"{boundary}\""));
    head.push_str("\r\n");

    let mut out = Vec::with_capacity(head.len() + (letter.html.len() + letter.text.len()) * 3 / 2 + 512);
    out.extend_from_slice(head.as_bytes());
    for (kind, body) in [("plain", letter.text), ("html", letter.html)] {
        let encoding = smaller(body);
        let part = format!(
            "--{boundary}\r\nContent-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
        );
        out.extend_from_slice(part.as_bytes());
        body_into(&mut out, body, encoding);
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("b-{verp}@{}", stationery.sender.bounce_domain), out)
}

fn personal_head(head: &mut String, letter: &Letter<'_>, keyring: &Keyring, token: &Token, verp: &str) {
    let Letter { stationery, member, .. } = letter;
    fold_into(head, "To", &recipient(member));
    fold_into(head, "Subject", &unstructured(letter.subject));
    fold_into(head, "Date", &date(letter.date_ms));
    fold_into(head, "Message-ID", &format!("<{verp}@{}>", stationery.from_domain));
    if stationery.class == MailClass::Marketing {
        let mailto = keyring.seal_local_part(Use::Unsubscribe, token);
        let page = keyring.seal(Use::Unsubscribe, token);
        let list = format!(
            "<{}/u/{page}>, <mailto:u-{mailto}@{}?subject=unsubscribe>",
            stationery.public_url, stationery.sender.bounce_domain
        );
        fold_into(head, "List-Unsubscribe", &list);
        fold_into(head, "List-Unsubscribe-Post", "List-Unsubscribe=One-Click");
    }
    let stream = label(&stationery.topic);
    let feedback = format!("c{}:{stream}:{}:{}", stationery.run, letter.locale, stationery.sender_id);
    fold_into(head, "Feedback-ID", &feedback);
    fold_into(head, "CFBL-Feedback-ID", verp);
    fold_into(head, "X-Indicia", verp);
}

fn recipient(member: &Member) -> String {
    let names = [member.first_name.as_deref(), member.last_name.as_deref()];
    let name = names.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let name = crate::base::text::clean(&name, 120);
    if name.is_empty() { format!("<{}>", member.email) } else { format!("{} <{}>", display_name(&name), member.email) }
}

/// RFC 5322 §3.3, in UTC.
fn date(ms: i64) -> String {
    let at = Timestamp::from_millisecond(ms).unwrap_or_default().to_zoned(TimeZone::UTC);
    at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// A boundary that no encoded body can hold: `=_` is in neither quoted-printable nor base64.
fn boundary(run: u32, message: i64) -> String {
    let mut input = run.to_be_bytes().to_vec();
    input.extend_from_slice(&message.to_be_bytes());
    let hash = digest::digest(&digest::SHA256, &input);
    format!("=_{}", HEXLOWER.encode(&hash.as_ref()[..12]))
}
