//! The sign-up form. `GET` shows, `POST` asks; the mail that comes back leads to a page whose button alone grants
//! consent, because scanners follow every link of a mail (double opt-in).

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use hyper::body::Incoming;
use hyper::header::USER_AGENT;
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::{Asked, Site, html, lang};
use crate::base::text::clean;
use crate::base::token::{Token, Use};
use crate::domain::address::Email;
use crate::domain::campaign::SIGN_UP;
use crate::flow::signup::{self, Heard, Standing, Terms, Typed};
use crate::store::signup::Signup;
use crate::web::form::{Form, FormError};
use crate::web::page::Lang;
use crate::web::server::Body;

/// Longest name of a browser kept as a proof, bytes.
const AGENT_BYTES_MAX: usize = 200;
/// How much of the digest of its words a form carries, characters.
const WORDS_KEY_LEN: usize = 16;

/// The form as the configuration has it.
pub struct SignupForm {
    pub terms: Terms,
    /// Who writes, as readers know them.
    pub sender: String,
    pub topics: Vec<Topic>,
    pub privacy_url: Option<String>,
}

/// A topic and what it is called in each language.
pub struct Topic {
    pub name: String,
    pub called: [(Lang, String); 3],
}

impl Topic {
    fn called(&self, lang: Lang) -> &str {
        self.called.iter().find(|(known, _)| *known == lang).map_or(&self.name, |(_, called)| called)
    }
}

#[derive(Serialize)]
struct FormPage<'a> {
    /// `form`, or `sent`.
    step: &'a str,
    sender: &'a str,
    topics: Vec<TopicShown<'a>>,
    privacy_url: Option<&'a str>,
    words: String,
    /// What was typed, given back with a fault.
    email: &'a str,
    /// The word that says what is wrong, or empty.
    fault: &'a str,
}

#[derive(Serialize)]
struct TopicShown<'a> {
    name: &'a str,
    called: &'a str,
    chosen: bool,
}

#[derive(Serialize)]
struct ConfirmPage<'a> {
    /// `ask`, `done` or `lapsed`.
    step: &'a str,
    path: &'a str,
    sender: &'a str,
    topics: Vec<&'a str>,
}

/// What is given back into a form.
#[derive(Default, Clone, Copy)]
struct Back<'a> {
    email: &'a str,
    fault: &'a str,
    form: Option<&'a Form>,
}

impl Site {
    pub(super) fn signup_page(&self, asked: &Asked<'_>) -> Response<Body> {
        match &self.state.signup {
            Some(form) => self.show_form(form, chosen_lang(asked), Back::default()),
            None => self.notice(lang(asked), StatusCode::NOT_FOUND, "not_found"),
        }
    }

    pub(super) async fn signup_ask(&self, asked: &Asked<'_>, body: Incoming) -> Response<Body> {
        let form = Form::read(asked.headers, body).await;
        let Some(page) = &self.state.signup else {
            return self.notice(lang(asked), StatusCode::NOT_FOUND, "not_found");
        };
        let form = match form {
            Ok(form) => form,
            Err(FormError::TooLong) => return self.notice(lang(asked), StatusCode::PAYLOAD_TOO_LARGE, "too_long"),
            Err(FormError::Broken) => return self.notice(lang(asked), StatusCode::BAD_REQUEST, "later"),
        };
        let lang = form.get("lang").and_then(|lang| lang.parse().ok()).unwrap_or_else(|| chosen_lang(asked));
        let words = self.words_of_form(page, lang);
        let email = form.get("email").unwrap_or_default();
        let back = |fault| self.show_form(page, lang, Back { email, fault, form: Some(&form) });
        // No person sees this field, and no person fills it.
        if form.all("website").any(|text| !text.is_empty()) {
            return self.show_sent(page, lang);
        }
        if form.get("words") != Some(words_key(&words).as_str()) {
            return back("signup_changed");
        }
        let wanted: Vec<&str> = form.all("topic").collect();
        let topics: Vec<&str> =
            page.topics.iter().map(|topic| topic.name.as_str()).filter(|name| wanted.contains(name)).collect();
        let Ok(address) = Email::parse(email) else { return back("signup_no_address") };
        if topics.is_empty() {
            return back("signup_no_topic");
        }
        let proof = self.who(asked);
        let ip = self.state.proxies.client(asked.peer, asked.headers);
        let typed = Typed { email: address, topics, words: &words, lang: lang.as_str(), ip, proof: &proof };
        match signup::ask(&self.state.db, &self.state.world, &page.terms, &typed).await {
            Ok(Heard::Asked) => self.show_sent(page, lang),
            Ok(Heard::TooMany) => self.notice(lang, StatusCode::TOO_MANY_REQUESTS, "signup_too_many"),
            Ok(Heard::Closed) => {
                tracing::error!("a sign-up was not taken: its campaign {SIGN_UP:?} was ended, or its template is gone");
                self.notice(lang, StatusCode::SERVICE_UNAVAILABLE, "later")
            }
            Err(error) => {
                tracing::error!(%error, "a sign-up was not written down");
                self.notice(lang, StatusCode::SERVICE_UNAVAILABLE, "later")
            }
        }
    }

    pub(super) async fn confirm_page(&self, asked: &Asked<'_>) -> Response<Body> {
        self.confirming(asked, false).await
    }

    pub(super) async fn confirm_act(&self, asked: &Asked<'_>, body: Incoming) -> Response<Body> {
        let form = Form::read(asked.headers, body).await;
        let meant = form.is_ok_and(|form| form.get("act") == Some("confirm"));
        self.confirming(asked, meant).await
    }

    async fn confirming(&self, asked: &Asked<'_>, meant: bool) -> Response<Body> {
        let lang = chosen_lang(asked);
        let missing = || self.notice(lang, StatusCode::NOT_FOUND, "not_found");
        let Some(page) = &self.state.signup else { return missing() };
        let Ok(token) = self.state.keys.open(Use::Confirm, asked.token) else { return self.forged(asked) };
        if token.run == 0 {
            return self.notice(lang, StatusCode::OK, "preview");
        }
        match self.confirm_or_look(asked, &token, meant).await {
            Ok(Standing::Unknown) => missing(),
            Ok(Standing::Lapsed) => self.show_confirm(page, asked, lang, "lapsed", ""),
            Ok(Standing::Open(wish)) => self.show_confirm(page, asked, spoken(&wish, lang), "ask", &wish.topics),
            Ok(Standing::Confirmed(wish)) => self.show_confirm(page, asked, spoken(&wish, lang), "done", &wish.topics),
            Err(error) => {
                tracing::error!(%error, "a sign-up was not confirmed");
                self.notice(lang, StatusCode::SERVICE_UNAVAILABLE, "later")
            }
        }
    }

    async fn confirm_or_look(
        &self,
        asked: &Asked<'_>,
        token: &Token,
        meant: bool,
    ) -> Result<Standing, crate::store::StoreError> {
        let now_ms = self.state.world.now_ms();
        if meant {
            return signup::confirm(&self.state.db, token.run, token.message, &self.who(asked), now_ms).await;
        }
        let mut reader = self.state.db.reader().await?;
        signup::standing(reader.conn(), token.run, token.message, now_ms).await
    }

    fn show_form(&self, form: &SignupForm, lang: Lang, back: Back<'_>) -> Response<Body> {
        let chosen = |name: &str| back.form.is_some_and(|form| form.all("topic").any(|topic| topic == name));
        let topics = form.topics.iter().map(|topic| TopicShown {
            name: &topic.name,
            called: topic.called(lang),
            chosen: chosen(&topic.name),
        });
        let page = FormPage {
            step: "form",
            sender: &form.sender,
            topics: topics.collect(),
            privacy_url: form.privacy_url.as_deref(),
            words: words_key(&self.words_of_form(form, lang)),
            email: back.email,
            fault: if back.fault.is_empty() { "" } else { self.state.pages.word(lang, back.fault) },
        };
        let status = if back.fault.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        html(status, self.state.pages.public("signup", lang, &page))
    }

    fn show_sent(&self, form: &SignupForm, lang: Lang) -> Response<Body> {
        let page = FormPage {
            step: "sent",
            sender: &form.sender,
            topics: Vec::new(),
            privacy_url: None,
            words: String::new(),
            email: "",
            fault: "",
        };
        html(StatusCode::OK, self.state.pages.public("signup", lang, &page))
    }

    fn show_confirm(
        &self,
        form: &SignupForm,
        asked: &Asked<'_>,
        lang: Lang,
        step: &str,
        wished: &str,
    ) -> Response<Body> {
        let called =
            |name| form.topics.iter().find(|topic| topic.name == name).map_or(name, |topic| topic.called(lang));
        let topics = wished.split(';').filter(|name| !name.is_empty()).map(called).collect();
        let page = ConfirmPage { step, path: asked.path, sender: &form.sender, topics };
        html(StatusCode::OK, self.state.pages.public("confirm", lang, &page))
    }

    /// Everything the form says about consent, as it is logged with every wish.
    fn words_of_form(&self, form: &SignupForm, lang: Lang) -> String {
        let word = |key: &str| self.state.pages.word(lang, key).to_owned();
        let topics = form.topics.iter().map(|topic| format!("{}: {}", topic.name, topic.called(lang)));
        let mut lines = vec![word("signup_title"), form.sender.clone(), word("signup_text")];
        lines.extend(topics);
        lines.extend([word("signup_consent"), form.privacy_url.clone().unwrap_or_default(), word("signup_button")]);
        lines.join("\n")
    }

    /// From where and with what somebody asks, for the log of consents.
    fn who(&self, asked: &Asked<'_>) -> String {
        let agent = asked.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        let ip = self.state.proxies.client(asked.peer, asked.headers);
        format!("{} from {ip}: {}", asked.method, clean(agent, AGENT_BYTES_MAX))
    }
}

/// By what a form shows that its words are still those that are logged.
fn words_key(words: &str) -> String {
    let mut key = HEXLOWER.encode(digest::digest(&digest::SHA256, words.as_bytes()).as_ref());
    key.truncate(WORDS_KEY_LEN);
    key
}

/// The language the form was filled in.
fn spoken(wish: &Signup, or: Lang) -> Lang {
    wish.lang.parse().unwrap_or(or)
}

/// The language of `?lang=`, else the browser's.
fn chosen_lang(asked: &Asked<'_>) -> Lang {
    let named = form_urlencoded::parse(asked.query.as_bytes()).find(|(key, _)| key == "lang");
    named.and_then(|(_, value)| Lang::of_locale(&value)).unwrap_or_else(|| lang(asked))
}
