//! Unsubscribe and preferences. `GET` shows a page with a button, because scanners follow every link; `POST` acts at
//! once (RFC 8058), needs no cookie, and may be sent twice.

use hyper::body::Incoming;
use hyper::{Response, StatusCode};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::{Asked, Site, html, lang};
use crate::base::token::{Token, Use};
use crate::domain::consent::ConsentState;
use crate::domain::member::{Member, Wishes};
use crate::domain::touch::TouchKind;
use crate::flow::preferences::{self, Choice, Reader};
use crate::store::StoreError;
use crate::web::form::{Form, FormError};
use crate::web::page::Lang;
use crate::web::server::Body;

const DAY_MS: i64 = 86_400_000;
/// Longest pause, milliseconds: whoever wants more wants no mail.
const PAUSE_MS_MAX: i64 = 366 * DAY_MS;

#[derive(Serialize)]
struct UnsubscribePage<'a> {
    /// `ask`, `done` or `undone`.
    step: &'a str,
    topic: &'a str,
    path: &'a str,
    can_undo: bool,
    /// Where the other topics are chosen.
    preferences: Option<String>,
}

#[derive(Serialize)]
struct PreferencesPage<'a> {
    saved: bool,
    path: &'a str,
    topics: Vec<Topic<'a>>,
    /// `None` of an erased member.
    wishes: Option<Switches<'a>>,
}

#[derive(Serialize)]
struct Switches<'a> {
    personalise: bool,
    track_opens: bool,
    track_clicks: bool,
    /// The last day of the pause as `2026-11-26`, or empty.
    paused_until: String,
    /// The first and the last day that may be chosen.
    first: String,
    last: String,
    /// The member's language, where it is none of ours.
    other: Option<&'a str>,
    locale: Lang,
}

#[derive(Serialize)]
struct Topic<'a> {
    name: &'a str,
    granted: bool,
}

/// What a reader's form asks for.
enum Act {
    Unsubscribe(&'static str),
    Undo,
    Nothing,
}

impl Site {
    pub(super) async fn unsubscribe_page(&self, asked: &Asked<'_>) -> Response<Body> {
        let (token, reader) = match self.read(asked, Use::Unsubscribe).await {
            Ok(found) => found,
            Err(answer) => return answer,
        };
        let step = if reader.is_unsubscribed() { "done" } else { "ask" };
        self.show_unsubscribe(asked, &token, &reader, step)
    }

    pub(super) async fn unsubscribe_act(&self, asked: &Asked<'_>, body: Incoming) -> Response<Body> {
        // The body first: an answer to a body unread may never reach its sender.
        let form = Form::read(asked.headers, body).await;
        let (token, reader) = match self.read(asked, Use::Unsubscribe).await {
            Ok(found) => found,
            Err(answer) => return answer,
        };
        let act = match form {
            Ok(form) => act(&form),
            Err(error) => return self.unreadable(asked, error),
        };
        let touch = self.touch(asked, TouchKind::Unsubscribe, &token, None);
        let class = touch.class;
        let done = match act {
            Act::Unsubscribe(source) => preferences::unsubscribe(&self.state.db, &reader, touch, source).await,
            Act::Undo => preferences::undo(&self.state.db, &touch).await.map(|_| ()),
            Act::Nothing => Ok(()),
        };
        if let Err(error) = done {
            return self.not_now(asked, &error);
        }
        if let Act::Unsubscribe(_) = act {
            self.state.metrics.touched("unsubscribe", class.as_str(), 1);
        }
        match self.read(asked, Use::Unsubscribe).await {
            Ok((token, reader)) => {
                let step = match act {
                    // Of an erased member no consent tells that it is done.
                    Act::Unsubscribe(_) => "done",
                    Act::Undo if !reader.is_unsubscribed() => "undone",
                    _ if reader.is_unsubscribed() => "done",
                    _ => "ask",
                };
                self.show_unsubscribe(asked, &token, &reader, step)
            }
            Err(answer) => answer,
        }
    }

    fn show_unsubscribe(&self, asked: &Asked<'_>, token: &Token, reader: &Reader, step: &str) -> Response<Body> {
        let preferences = Token::of(token.run, token.message);
        let page = UnsubscribePage {
            step,
            topic: &reader.addressee.doc.topic,
            path: asked.path,
            can_undo: reader.can_undo(self.state.world.now_ms()),
            preferences: (reader.topics.len() > 1)
                .then(|| format!("/p/{}", self.state.keys.seal(Use::Preferences, &preferences))),
        };
        html(StatusCode::OK, self.state.pages.public("unsubscribe", spoken(asked, reader), &page))
    }

    pub(super) async fn preferences_page(&self, asked: &Asked<'_>) -> Response<Body> {
        match self.read(asked, Use::Preferences).await {
            Ok((_, reader)) => self.show_preferences(asked, &reader, false),
            Err(answer) => answer,
        }
    }

    pub(super) async fn preferences_act(&self, asked: &Asked<'_>, body: Incoming) -> Response<Body> {
        let form = Form::read(asked.headers, body).await;
        let (token, reader) = match self.read(asked, Use::Preferences).await {
            Ok(found) => found,
            Err(answer) => return answer,
        };
        let form = match form {
            Ok(form) => form,
            Err(error) => return self.unreadable(asked, error),
        };
        if form.get("act") != Some("save") {
            return self.show_preferences(asked, &reader, false);
        }
        let touch = self.touch(asked, TouchKind::Unsubscribe, &token, None);
        let lang = spoken(asked, &reader);
        let words = self.words_shown(lang);
        let choice = Choice {
            offered: form.all("known").collect(),
            wanted: form.all("topic").collect(),
            locale: form
                .get("locale")
                .filter(|locale| Lang::of_locale(locale).is_some_and(|lang| lang.as_str() == *locale)),
            wishes: reader.member.as_ref().and_then(|member| wishes(&form, member, touch.at_ms)),
            words: &words,
            lang: lang.as_str(),
        };
        // A choice of the language the member's own tag names already is none.
        let same =
            |locale: &&str| reader.member.as_ref().and_then(|m| Lang::of_locale(&m.locale)) != Lang::of_locale(locale);
        let choice = Choice { locale: choice.locale.filter(same), ..choice };
        if let Err(error) = preferences::choose(&self.state.db, &touch, &choice).await {
            return self.not_now(asked, &error);
        }
        match self.read(asked, Use::Preferences).await {
            Ok((_, reader)) => self.show_preferences(asked, &reader, true),
            Err(answer) => answer,
        }
    }

    fn show_preferences(&self, asked: &Asked<'_>, reader: &Reader, saved: bool) -> Response<Body> {
        let topic = |standing: &'_ crate::store::consent::Standing| standing.state == ConsentState::Granted;
        let topics = reader.topics.iter().map(|standing| Topic { name: &standing.topic, granted: topic(standing) });
        let now_ms = self.state.world.now_ms();
        let wishes = reader.member.as_ref().map(|member| switches(member, now_ms));
        let page = PreferencesPage { saved, path: asked.path, topics: topics.collect(), wishes };
        html(StatusCode::OK, self.state.pages.public("preferences", spoken(asked, reader), &page))
    }

    /// What the preference page says about consent, as it is logged with every choice.
    fn words_shown(&self, lang: Lang) -> String {
        let word = |key: &str| self.state.pages.word(lang, key);
        ["preferences_title", "preferences_text", "preferences_button"].map(word).join("\n")
    }

    /// The reader behind a token, or the answer to who is none.
    async fn read(&self, asked: &Asked<'_>, usage: Use) -> Result<(Token, Reader), Response<Body>> {
        let missing = || self.notice(lang(asked), StatusCode::NOT_FOUND, "not_found");
        let token = self.state.keys.open(usage, asked.token).map_err(|_| self.forged(asked))?;
        if token.run == 0 {
            return Err(self.notice(lang(asked), StatusCode::OK, "preview"));
        }
        let found = async {
            let mut reader = self.state.db.reader().await?;
            preferences::reader(reader.conn(), token.run, token.message).await
        };
        match found.await {
            Ok(Some(reader)) => Ok((token, reader)),
            Ok(None) => Err(missing()),
            Err(error) => Err(self.not_now(asked, &error)),
        }
    }

    fn unreadable(&self, asked: &Asked<'_>, error: FormError) -> Response<Body> {
        match error {
            FormError::TooLong => self.notice(lang(asked), StatusCode::PAYLOAD_TOO_LARGE, "too_long"),
            FormError::Broken => self.notice(lang(asked), StatusCode::BAD_REQUEST, "later"),
        }
    }

    /// An unsubscribe that is not durable must not be confirmed.
    fn not_now(&self, asked: &Asked<'_>, error: &StoreError) -> Response<Body> {
        tracing::error!(%error, "a reader's decision was not recorded");
        self.notice(lang(asked), StatusCode::SERVICE_UNAVAILABLE, "later")
    }
}

/// The switches of a member as the page shows them.
fn switches(member: &Member, now_ms: i64) -> Switches<'_> {
    let day = |ms: i64| day_of(ms, &member.zone).map_or_else(String::new, |day| day.to_string());
    let wishes = &member.wishes;
    let lang = Lang::of_locale(&member.locale);
    Switches {
        personalise: wishes.personalise,
        track_opens: wishes.track_opens,
        track_clicks: wishes.track_clicks,
        // The pause ends at midnight: its last day is the one before.
        paused_until: wishes.paused_until_ms.filter(|until| *until > now_ms).map_or_else(String::new, |ms| day(ms - 1)),
        first: day(now_ms),
        last: day(now_ms + PAUSE_MS_MAX),
        other: lang.is_none().then_some(member.locale.as_str()),
        locale: lang.unwrap_or(Lang::En),
    }
}

/// The wishes a form sets, or `None` where it did not show them. A day that is none, past or too far leaves the pause.
fn wishes(form: &Form, member: &Member, now_ms: i64) -> Option<Wishes> {
    form.get("switches")?;
    let paused_until_ms = match form.get("until").map(str::trim) {
        None => member.wishes.paused_until_ms,
        Some("") => None,
        Some(day) => {
            let end = end_of(day, &member.zone);
            end.filter(|end| (now_ms..=now_ms + PAUSE_MS_MAX + DAY_MS).contains(end)).or(member.wishes.paused_until_ms)
        }
    };
    let is_on = |name: &str| form.get(name).is_some();
    Some(Wishes {
        personalise: is_on("personalise"),
        track_opens: is_on("track_opens"),
        track_clicks: is_on("track_clicks"),
        paused_until_ms,
    })
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}

fn day_of(ms: i64, zone_name: &str) -> Option<Date> {
    Some(Timestamp::from_millisecond(ms).ok()?.to_zoned(zone(zone_name)).date())
}

/// The instant a day ends in a zone.
fn end_of(day: &str, zone_name: &str) -> Option<i64> {
    let next = day.parse::<Date>().ok()?.tomorrow().ok()?;
    Some(next.to_zoned(zone(zone_name)).ok()?.timestamp().as_millisecond())
}

fn act(form: &Form) -> Act {
    if form.get("List-Unsubscribe").is_some_and(|value| value.eq_ignore_ascii_case("One-Click")) {
        return Act::Unsubscribe("one_click");
    }
    match form.get("act") {
        Some("unsubscribe") => Act::Unsubscribe("unsubscribe_page"),
        Some("undo") => Act::Undo,
        _ => Act::Nothing,
    }
}

/// The member's language if we speak it, else the browser's.
fn spoken(asked: &Asked<'_>, reader: &Reader) -> Lang {
    reader.addressee.locale.as_deref().and_then(Lang::of_locale).unwrap_or_else(|| lang(asked))
}
