//! Correct mail: what a reader's mail program, a provider and a bounce will find in what we write, read back by
//! parsers that are not ours.

use std::io::Write as _;
use std::process::{Command, Stdio};

use indicia::base::World;
use indicia::base::token::{Keyring, Token, Use};
use indicia::domain::campaign::MailClass;
use indicia::domain::catalog::{Catalog, Offer, Product};
use indicia::domain::member::Member;
use indicia::domain::people::HIDDEN_SLOT;
use indicia::domain::recommend::History;
use indicia::domain::template::{Part, Source};
use indicia::render::{
    Compiled, Mail, Page, Recipient, RenderError, Sender, Stationery, compile, render_mail, render_page,
};
use mail_parser::MessageParser;
use serde_json::Value;

const NOW_MS: i64 = 1_795_687_200_000;

fn part(locale: &str, subject: &str, html: &str, text: &str) -> Part {
    Part {
        locale: locale.into(),
        subject: subject.into(),
        preheader: "Hello".into(),
        html: html.into(),
        text: text.into(),
        ..Part::default()
    }
}

fn source(parts: Vec<Part>) -> Source {
    Source {
        name: "offer".into(),
        class: MailClass::Marketing,
        topic: "offers".into(),
        default_locale: "en".into(),
        link_hosts: vec!["shop.example".into()],
        parts,
    }
}

fn keyring() -> Keyring {
    Keyring::new(&[(1, [7; 32])])
}

fn stationery(class: MailClass) -> Stationery {
    let sender = Sender {
        key: "offers".into(),
        name: "Дом Aurelle".into(),
        from: "offers@news.shop.example".into(),
        reply_to: "care@shop.example".into(),
        bounce_domain: "bounce.news.shop.example".into(),
        postal_address: "1 Street".into(),
    };
    Stationery::new(42, "november", "offers", class, sender, "https://t.shop.example/")
}

fn member(locale: &str) -> Member {
    Member {
        id: 7,
        email: "anna.k@example.com".into(),
        first_name: Some("Анна".into()),
        last_name: Some("Ковалёва".into()),
        locale: locale.into(),
        zone: "Europe/Moscow".into(),
        points: 12_345,
        ..Member::default()
    }
}

fn catalog() -> Catalog {
    let product = |id: i64| Product {
        id,
        sku: format!("sku-{id}"),
        name: format!("Fridge <{id}>"),
        category: "kitchen/refrigerator".into(),
        brand: "Norr".into(),
        url: format!("https://shop.example/p/{id}"),
        image_url: format!("https://shop.example/i/{id}.png"),
        offers: vec![Offer { currency: "RUB".into(), price_minor: 2_499_000, ..Offer::default() }],
        ..Product::default()
    };
    Catalog::new((1..=12).map(product).collect(), &[])
}

fn mail(source: &Source, member: &Member, class: MailClass) -> Mail {
    let compiled = compile(source).unwrap();
    let history = History::default();
    let to = Recipient { message_id: 99, member, history: &history };
    render_mail(&compiled, &stationery(class), &to, &catalog(), &keyring(), NOW_MS, NOW_MS).unwrap()
}

const PAGE: &str = "<html><body><p>{{ t(\"hello\", name=member.first_name) }} {{ points | number }}</p>\
    <a href=\"https://shop.example/a?x=1&amp;y=2\">Акция</a>\
    <!--[if mso]><v:roundrect href=\"https://shop.example/mso\"></v:roundrect><![endif]-->\
    {% for p in products(strategy=\"popular\", n=3) %}<a href=\"{{ p.url }}\">{{ p.name }} {{ p.price | money }} {{ p.reason }}</a>{% endfor %}\
    <a href='https://shop.example/m?c={{ attr.city | url_param }}&amp;p={{ points }}'>Мой счёт</a>\
    <a href=\"mailto:care@shop.example\">Письмо</a> <a href=\"#top\">Наверх</a>\
    <a href=\"{{ unsubscribe_url() }}\">Отписаться</a></body></html>";
const TEXT: &str = "{{ t(\"hello\", name=member.first_name) }} https://shop.example/a?x=1&y=2.\n\
    {% for p in products(strategy=\"popular\", n=3) %}{{ p.name }}: {{ p.url }}\n{% endfor %}";

fn with_texts(mut part: Part, hello: &str) -> Part {
    part.texts.insert("hello".into(), hello.into());
    part
}

fn three_languages() -> Source {
    source(vec![
        with_texts(part("en", "Hello {{ member.first_name }}", PAGE, TEXT), "Hello {name}"),
        with_texts(
            part(
                "ru",
                "Привет, {{ member.first_name }}: скидки до 40 % на всё для кухни и дома, только сегодня",
                PAGE,
                TEXT,
            ),
            "Привет, {name}",
        ),
        with_texts(
            part(
                "zh",
                "{{ member.first_name }}，会员日双倍积分，还有为您挑选的好物，仅限今日，先到先得，售完即止",
                PAGE,
                TEXT,
            ),
            "你好，{name}",
        ),
    ])
}

/// What Python's `email` makes of a mail: an independent reader of RFC 5322, 2045 and 2047.
fn by_python(mail: &[u8]) -> Value {
    const SCRIPT: &str = "import sys, json, email, email.policy\n\
        m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)\n\
        parts = [dict(type=p.get_content_type(), charset=p.get_content_charset(), cte=p['content-transfer-encoding'],\n\
          text=p.get_content(), defects=[str(d) for d in p.defects]) for p in m.iter_parts()]\n\
        print(json.dumps(dict(headers=[[k, str(v)] for k, v in m.items()], type=m.get_content_type(), parts=parts,\n\
          defects=[str(d) for d in m.defects] + [str(d) for k, v in m.items() for d in v.defects],\n\
          to=[a.addr_spec for a in m['to'].addresses], sender=[[a.display_name, a.addr_spec] for a in m['from'].addresses],\n\
          date=int(m['date'].datetime.timestamp()))))\n";
    let mut python = Command::new("python3")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs python3: its email package is the second parser");
    python.stdin.take().unwrap().write_all(mail).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "Python could not read the mail");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn header<'v>(read: &'v Value, name: &str) -> Vec<&'v str> {
    let all = read["headers"].as_array().unwrap();
    let named = all.iter().filter(|pair| pair[0].as_str().unwrap().eq_ignore_ascii_case(name));
    named.map(|pair| pair[1].as_str().unwrap()).collect()
}

fn one<'v>(read: &'v Value, name: &str) -> &'v str {
    let found = header(read, name);
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    found[0]
}

fn raw_is_wire_safe(bytes: &[u8]) {
    assert!(bytes.is_ascii());
    let text = std::str::from_utf8(bytes).unwrap();
    assert!(text.ends_with("\r\n") && !text.replace("\r\n", "").contains(['\r', '\n', '\0']));
    // A header's word cannot be folded; everything else stays within what RFC 5322 asks for.
    let one_word = |line: &str| line.trim_start().split(' ').count() <= 2 && line.len() < 200;
    assert!(text.split("\r\n").all(|line| line.len() <= 78 || one_word(line)), "{text}");
    assert!(text.find("\r\n\r\n").unwrap() < 16 * 1024);
}

#[test]
fn marketing_mail_keeps_every_row_of_the_contract() {
    for (locale, lang, subject) in [
        ("en-GB", "en", "Hello Анна"),
        ("ru", "ru", "Привет, Анна: скидки до 40 % на всё для кухни и дома, только сегодня"),
        ("zh-Hans-CN", "zh", "Анна，会员日双倍积分，还有为您挑选的好物，仅限今日，先到先得，售完即止"),
    ] {
        let mail = mail(&three_languages(), &member(locale), MailClass::Marketing);
        raw_is_wire_safe(&mail.bytes);
        let read = by_python(&mail.bytes);
        assert_eq!(read["defects"].as_array().unwrap().len(), 0, "{}", read["defects"]);
        let mut names: Vec<String> =
            read["headers"].as_array().unwrap().iter().map(|h| h[0].as_str().unwrap().to_lowercase()).collect();
        names.sort();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "a header stands twice");
        for absent in ["sender", "bcc", "cc", "return-path", "auto-submitted"] {
            assert!(!names.iter().any(|name| name == absent), "{absent}");
        }
        assert_eq!(read["sender"], serde_json::json!([["Дом Aurelle", "offers@news.shop.example"]]));
        assert_eq!(read["to"], serde_json::json!(["anna.k@example.com"]));
        assert_eq!(one(&read, "reply-to"), "care@shop.example");
        assert_eq!(one(&read, "subject"), subject);
        assert_eq!(read["date"], NOW_MS / 1000);
        assert_eq!(one(&read, "mime-version"), "1.0");
        marketing_headers(&read, lang);
        assert_eq!(MessageParser::default().parse(&mail.bytes).unwrap().subject(), Some(subject));
        assert_eq!((mail.envelope_to.as_str(), mail.shown.locale.as_str()), ("anna.k@example.com", lang));
    }
}

fn marketing_headers(read: &Value, lang: &str) {
    let token = Token::of(42, 99);
    let verp = keyring().seal_local_part(Use::Verp, &token);
    let unsubscribe = format!(
        "<https://t.shop.example/u/{}>, <mailto:u-{}@bounce.news.shop.example?subject=unsubscribe>",
        keyring().seal(Use::Unsubscribe, &token),
        keyring().seal_local_part(Use::Unsubscribe, &token)
    );
    for (name, value) in [
        ("message-id", format!("<{verp}@news.shop.example>")),
        ("list-unsubscribe", unsubscribe),
        ("list-unsubscribe-post", "List-Unsubscribe=One-Click".to_owned()),
        ("list-id", "offers <offers.news.shop.example>".to_owned()),
        ("feedback-id", format!("c42:offers:{lang}:offers")),
        ("x-postmaster-msgtype", "c42".to_owned()),
        ("precedence", "bulk".to_owned()),
        ("x-auto-response-suppress", "OOF, AutoReply".to_owned()),
        ("cfbl-address", "fbl@bounce.news.shop.example; report=arf".to_owned()),
        ("cfbl-feedback-id", verp.clone()),
        ("x-indicia", verp.clone()),
    ] {
        assert_eq!(one(read, name), value, "{name}");
    }
}

#[test]
fn both_parts_say_the_same_in_the_smaller_encoding() {
    for (locale, hello, encodings) in [
        ("en", "Hello Анна", ["quoted-printable", "quoted-printable"]),
        ("zh", "你好，Анна", ["quoted-printable", "quoted-printable"]),
    ] {
        let mail = mail(&three_languages(), &member(locale), MailClass::Marketing);
        let read = by_python(&mail.bytes);
        assert_eq!(read["type"], "multipart/alternative");
        let parts = read["parts"].as_array().unwrap();
        assert_eq!(
            parts.iter().map(|part| part["type"].as_str().unwrap()).collect::<Vec<_>>(),
            ["text/plain", "text/html"]
        );
        for (part, encoding) in parts.iter().zip(encodings) {
            assert_eq!((part["charset"].as_str(), part["cte"].as_str()), (Some("utf-8"), Some(encoding)));
            assert_eq!(part["defects"], serde_json::json!([]));
            let text = part["text"].as_str().unwrap();
            assert!(text.contains(hello), "{text}");
            for (product, _) in &mail.shown.products {
                assert!(
                    text.contains(&format!("<{product}>")) || text.contains(&format!("&lt;{product}&gt;")),
                    "{product} in {text}"
                );
            }
        }
        assert_eq!(mail.shown.products.len(), 3);
    }
    let chinese = source(vec![part(
        "en",
        "s",
        &"<p>会员日双倍积分</p><a href='{{ unsubscribe_url() }}'>退订</a>".repeat(20),
        &"会员日双倍积分。".repeat(50),
    )]);
    let read = by_python(&mail(&chinese, &member("en"), MailClass::Marketing).bytes);
    assert_eq!(read["parts"][0]["cte"], "base64");
    assert!(read["parts"][0]["text"].as_str().unwrap().contains("积分。会员日"));
}

#[test]
fn transactional_mail_is_no_list_mail() {
    let mail = mail(&three_languages(), &member("en"), MailClass::Transactional);
    let read = by_python(&mail.bytes);
    assert_eq!(one(&read, "auto-submitted"), "auto-generated");
    for absent in ["precedence", "list-id", "list-unsubscribe", "list-unsubscribe-post"] {
        assert!(header(&read, absent).is_empty(), "{absent}");
    }
}

#[test]
fn a_retry_is_the_same_copy_and_another_message_is_not() {
    let compiled = compile(&three_languages()).unwrap();
    let (history, member, catalog) = (History::default(), member("ru"), catalog());
    let of = |message_id, now_ms| {
        let to = Recipient { message_id, member: &member, history: &history };
        render_mail(&compiled, &stationery(MailClass::Marketing), &to, &catalog, &keyring(), NOW_MS, now_ms).unwrap()
    };
    let (first, retry, other) = (of(1, NOW_MS), of(1, NOW_MS + 3_600_000), of(2, NOW_MS));
    assert_eq!(first.bytes, retry.bytes);
    assert_eq!(first.envelope_from, retry.envelope_from);
    assert_ne!(first.envelope_from, other.envelope_from);
    let id = |mail: &Mail| one(&by_python(&mail.bytes), "message-id").to_owned();
    assert_ne!(id(&first), id(&other));
    let (local, domain) = first.envelope_from.split_once('@').unwrap();
    assert!(local.len() <= 64 && local.to_lowercase() == local && domain == "bounce.news.shop.example");
    let token = local.strip_prefix("b-").unwrap();
    assert_eq!(keyring().open_local_part(Use::Verp, token), Ok(Token::of(42, 1)));
}

fn page(source: &Source, member: &Member) -> Result<Page, RenderError> {
    let compiled = compile(source).unwrap();
    let history = History::default();
    let to = Recipient { message_id: 99, member, history: &history };
    render_page(&compiled, &stationery(MailClass::Marketing), &to, &catalog(), &keyring(), NOW_MS, None)
}

/// What stands after `prefix` up to the attribute's end, for every link of `html`.
fn tokens<'h>(html: &'h str, prefix: &str) -> Vec<&'h str> {
    html.split(prefix).skip(1).map(|rest| rest.split(['"', '\'']).next().unwrap()).collect()
}

#[test]
fn every_link_leads_back_to_its_message_and_place() {
    let source = three_languages();
    let compiled = compile(&source).unwrap();
    let mut reader = member("ru");
    reader.attributes.insert("city".into(), "Нижний Новгород & Co".into());
    let page = page(&source, &reader).unwrap();
    let hidden = |click: &&str| keyring().open(Use::Click, click).is_ok_and(|token| token.slot == HIDDEN_SLOT);
    let (unseen, clicks): (Vec<&str>, Vec<&str>) =
        tokens(&page.html, "https://t.shop.example/c/").into_iter().partition(hidden);
    assert_eq!(unseen.len(), 1, "one link that only machines follow");
    assert_eq!(clicks.len(), 6, "{}", page.html);
    let mut led = Vec::new();
    for click in clicks {
        if let Ok(token) = keyring().open(Use::Click, click) {
            assert_eq!((token.run, token.message), (42, 99));
            let link = compiled.links.iter().find(|link| link.slot == token.slot);
            led.push(if token.product > 0 { format!("product {}", token.product) } else { link.unwrap().url.clone() });
        } else {
            let (token, url) = keyring().open_link(click).unwrap();
            assert_eq!((token.run, token.message), (42, 99));
            let link = compiled.links.iter().find(|link| link.slot == token.slot).unwrap();
            assert_eq!((link.url.as_str(), link.label.as_str()), ("", "Мой счёт"));
            led.push(url);
        }
    }
    let products = page.shown.products.iter().map(|(id, _)| format!("product {id}"));
    let mut meant = vec!["https://shop.example/a?x=1&y=2".to_owned(), "https://shop.example/mso".to_owned()];
    meant.extend(products);
    meant.push("https://shop.example/m?c=%D0%9D%D0%B8%D0%B6%D0%BD%D0%B8%D0%B9%20%D0%9D%D0%BE%D0%B2%D0%B3%D0%BE%D1%80%D0%BE%D0%B4%20%26%20Co&p=12345".to_owned());
    assert_eq!(led, meant);
    assert!(page.html.contains("href=\"mailto:care@shop.example\"") && page.html.contains("href=\"#top\""));
    let pixel = tokens(&page.html, "https://t.shop.example/o/");
    assert_eq!(keyring().open(Use::Open, pixel[0].strip_suffix(".gif").unwrap()), Ok(Token::of(42, 99)));
    assert!(
        page.html.ends_with("height:1px\"></body></html>") && page.html.contains("width=\"1\" height=\"1\" alt=\"\"")
    );
    // The text part's link to the same place has the same slot, and is no part of the sentence's full stop.
    assert!(page.text.contains(&format!("{}.\n", keyring().seal(Use::Click, &Token { slot: 1, ..Token::of(42, 99) }))));
}

#[test]
fn a_profile_cannot_choose_where_a_link_leads() {
    let html = "<a href=\"{{ attr.home }}\">x</a><a href=\"{{ unsubscribe_url() }}\">u</a>";
    let at = |home: &str| {
        let mut member = member("en");
        member.attributes.insert("home".into(), home.into());
        page(&source(vec![part("en", "s", html, "")]), &member)
    };
    assert!(at("https://shop.example/me").is_ok());
    for home in [
        "https://evil.example/",
        "https://shop.example@evil.example/",
        "javascript:alert(1)",
        "data:text/html,x",
        "\u{2}U0\u{3}",
    ] {
        assert!(matches!(at(home), Err(RenderError::Link { .. })), "{home}");
    }
}

#[test]
fn what_a_profile_holds_stays_text() {
    let mut hostile = member("en");
    hostile.first_name = Some("Eve\r\nBcc: all@example.com\r\n\r\n<script>{{ points }}\u{2}U0\u{3}\"".into());
    hostile.last_name = Some("长".repeat(400));
    let mail = mail(&three_languages(), &hostile, MailClass::Marketing);
    raw_is_wire_safe(&mail.bytes);
    let read = by_python(&mail.bytes);
    assert!(header(&read, "bcc").is_empty());
    assert_eq!(read["to"], serde_json::json!(["anna.k@example.com"]));
    assert!(one(&read, "subject").starts_with("Hello Eve"));
    let html = read["parts"][1]["text"].as_str().unwrap();
    assert!(html.contains("&lt;script&gt;{{ points }}") && !html.contains("<script"), "{html}");
}

#[test]
fn a_template_may_pass_a_member_over_and_may_not_grow() {
    let unsubscribe = "<a href='{{ unsubscribe_url() }}'>u</a>";
    let of = |html: &str| page(&source(vec![part("en", "s", &format!("{html}{unsubscribe}"), "t")]), &member("en"));
    let passed = of("{% if points > 1 %}{{ abort(\"rich enough\") }}{% endif %}");
    assert_eq!(passed.unwrap_err(), RenderError::Abort { reason: "rich enough".into() });
    assert!(
        matches!(of("{{ attr.unknown }}").unwrap_err(), RenderError::Template(fault) if fault.to_string().starts_with("en.html:1:"))
    );
    assert!(of("{{ attr.unknown or 'x' }}").is_ok());
    let long = "0123456789".repeat(10_300);
    assert!(matches!(of(&long), Err(RenderError::TooLong { part: "HTML", .. })));
    assert!(of(&long[..90_000]).is_ok());
}

#[test]
fn a_mail_that_takes_too_long_is_given_up() {
    let work = "{{ \"LETTERS\" | lower | upper | lower | upper | lower | upper | wordcount }}"
        .replace("LETTERS", &"a b ".repeat(50_000));
    let slow = |inner: &str| {
        let html =
            format!("{{% for a in range(end=200) %}}{{% for b in range(end=20) %}}{inner}{{% endfor %}}{{% endfor %}}");
        compile(&source(vec![part("en", "s", &html, "t")])).unwrap()
    };
    let (member, history) = (member("en"), History::default());
    let to = Recipient { message_id: 99, member: &member, history: &history };
    let of = |compiled: &Compiled, timed: &dyn Fn(Stationery) -> Stationery| {
        let stationery = timed(stationery(MailClass::Marketing));
        render_mail(compiled, &stationery, &to, &catalog(), &keyring(), NOW_MS, NOW_MS).map(|_| ())
    };
    let loud = slow(&work);
    assert_eq!(of(&loud, &|s| s.timed_within(&World::system(), 20)), Err(RenderError::TooSlow { ms: 20 }));
    // What works silently is noticed at its end; where the clock stands still, nothing is late.
    let silent = slow("{% if a == 1000 %}x{% endif %}");
    assert_eq!(of(&silent, &|s| s.timed_within(&World::system(), -1)), Err(RenderError::TooSlow { ms: -1 }));
    assert_eq!(of(&silent, &|s| s.timed(&World::seeded(1, NOW_MS))), Ok(()));
    assert!(RenderError::TooSlow { ms: 20 }.to_string().contains("not ready after 20 ms"));
}

#[test]
fn a_web_version_shows_what_was_sent() {
    let compiled = compile(&three_languages()).unwrap();
    let mut member = member("ru");
    let history = History::default();
    let sent = mail(&three_languages(), &member, MailClass::Marketing);
    member.points = 1;
    member.locale = "en".into();
    let to = Recipient { message_id: 99, member: &member, history: &history };
    let mut shown = sent.shown.clone();
    shown.products.reverse();
    let page =
        render_page(&compiled, &stationery(MailClass::Marketing), &to, &catalog(), &keyring(), NOW_MS, Some(&shown))
            .unwrap();
    assert_eq!(page.shown, shown);
    assert!(page.html.contains("Привет") && page.html.contains("12\u{a0}345"), "{}", page.html);
}

#[test]
fn real_templates_keep_every_link() {
    let data = std::env::var("INDICIA_TEST_DATA").unwrap_or_else(|_| "../shared/data".into());
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(data).join("templates");
    let mut folders = vec![root.clone()];
    let (mut read, mut links) = (0, 0);
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { break };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "html") {
                links += keeps_links(&std::fs::read_to_string(&path).unwrap(), &path.display().to_string());
                read += 1;
            }
        }
    }
    if read == 0 {
        eprintln!(
            "\n*** no templates under {} (set INDICIA_TEST_DATA): real templates were NOT tried ***\n",
            root.display()
        );
        return;
    }
    assert!(read >= 19 && links > 100, "{read} templates, {links} links");
}

/// Compiles and renders `html` and finds every destination again; returns how many there were.
fn keeps_links(html: &str, name: &str) -> usize {
    let html = format!("{{% raw %}}{html}{{% endraw %}}");
    let mut source = source(vec![part("en", "s", &html, "t")]);
    source.class = MailClass::Transactional;
    let compiled = compile(&source).unwrap_or_else(|faults| panic!("{name}: {faults:?}"));
    let page = match page(&source, &member("en")) {
        Ok(page) => page,
        Err(RenderError::TooLong { .. }) => return 0,
        Err(error) => panic!("{name}: {error}"),
    };
    // Before and after, read by one simple rule: what stands in href="…" or href='…', tags of style sheets aside.
    let before = simple_hrefs(&html);
    let hidden = |href: &String| {
        let token = href.strip_prefix("https://t.shop.example/c/").map(|token| keyring().open(Use::Click, token));
        token.is_some_and(|token| token.is_ok_and(|token| token.slot == HIDDEN_SLOT))
    };
    let seen = simple_hrefs(&page.html).into_iter().filter(|href| !hidden(href));
    let after = seen.map(|href| match href.strip_prefix("https://t.shop.example/c/") {
        Some(token) => {
            let token = keyring().open(Use::Click, token).unwrap();
            compiled.links.iter().find(|link| link.slot == token.slot).unwrap().url.clone()
        }
        None => href,
    });
    assert_eq!(after.collect::<Vec<_>>(), before, "{name}");
    before.len()
}

fn simple_hrefs(html: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find("href=") {
        let quote = rest.as_bytes()[at + 5];
        let value = &rest[at + 6..];
        let end = value.find(char::from(quote)).unwrap_or(value.len());
        if matches!(quote, b'"' | b'\'') {
            found.push(value[..end].replace("&amp;", "&").trim().to_owned());
        }
        rest = &value[end..];
    }
    found
}
