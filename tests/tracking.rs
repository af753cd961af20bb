//! Opens, clicks and unsubscribes over real HTTP: written down before they are answered, forged ones not at all.

use std::time::{Duration, Instant};

use indicia::base::token::{KEY_BYTES, Keyring, Token, Use};
use indicia::web::public::Bounds;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::both_dbs;
use crate::support::site::{LINK, NOW_MS, PERSON, RUN, Site, campaign, execute, last_ip, number, words};

const URLENCODED: &str = "application/x-www-form-urlencoded";

both_dbs! {
    async fn an_open_is_there_when_its_pixel_is(test) {
        campaign(&test.db).await;
        let site = Site::start(&test.db).await;
        for n in 1..=5 {
            let answer = site.get(&site.path('o', Use::Open, 1)).await;
            assert_eq!((answer.status, answer.body.len()), (200, 43));
            assert_eq!(&answer.body[..6], b"GIF89a");
            assert_eq!(answer.header("content-type"), Some("image/gif"));
            assert!(answer.header("cache-control").unwrap().contains("no-store"), "{}", answer.head);
            assert!(answer.header("set-cookie").is_none());
            assert_eq!(number(&test.db, "select count(*) from touch where kind = 'open' and class = 'human'").await, n);
        }
        let row = "select count(*) from touch where run_id = 1 and message_id = 1 and member_id = 1 and method = 'GET'
             and ip = '127.0.0.1' and agent like 'Mozilla%Firefox/140.0' and at_ms = 1790000000000";
        assert_eq!(number(&test.db, row).await, 5);
        assert_eq!(number(&test.db, "select count(*) from outbox").await, 0, "an open teaches nothing");
        assert!(site.metrics.text().contains(r#"indicia_touches_total{kind="open",class="human"} 5"#));
    }
}

both_dbs! {
    async fn a_person_s_click_leads_on_and_is_handed_to_learning(test) {
        campaign(&test.db).await;
        let site = Site::start(&test.db).await;
        let link = Token { run: RUN, message: 2, slot: 1, product: 0 };
        let answer = site.get(&site.path_of('c', Use::Click, &link)).await;
        assert_eq!((answer.status, answer.header("location")), (302, Some(LINK)));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert!(answer.header("set-cookie").is_none());
        let product = site.get(&site.path_of('c', Use::Click, &Token { product: 1, ..link })).await;
        assert_eq!(product.header("location"), Some("https://shop.example/kettle"));
        let taught = "select count(*) from outbox o join touch t on t.id = o.ref_id
             where o.source = 'touch' and t.kind = 'click' and t.class = 'human' and t.member_id = 2 and t.slot = 1";
        assert_eq!(number(&test.db, taught).await, 2);
        assert_eq!(number(&test.db, "select product_id from touch order by id desc limit 1").await, 1);

        let scanner = site.ask("GET", &site.path_of('c', Use::Click, &link), "User-Agent: python-requests/2\r\n", b"").await;
        assert_eq!(scanner.status, 302, "every class is answered alike");
        let head = site.ask("HEAD", &site.path_of('c', Use::Click, &link), PERSON, b"").await;
        assert_eq!((head.status, head.body.len()), (302, 0));
        assert_eq!(number(&test.db, "select count(*) from touch where class = 'scanner'").await, 2);
        assert_eq!(number(&test.db, "select count(*) from outbox").await, 2, "a scanner teaches nothing");
    }
}

#[tokio::test]
async fn a_sealed_link_leads_to_the_address_it_carries() {
    let test = crate::support::db::sqlite().await;
    campaign(&test.db).await;
    let site = Site::start(&test.db).await;
    let url = "https://shop.example/cart?of=anna";
    let answer = site.get(&format!("/c/{}", site.keys.seal_link(&Token::of(RUN, 1), url))).await;
    assert_eq!((answer.status, answer.header("location")), (302, Some(url)));
    assert_eq!(words(&test.db, "select url from touch").await, url);
}

#[tokio::test]
async fn who_guesses_is_told_to_wait_and_nobody_else_is() {
    let test = crate::support::db::sqlite().await;
    campaign(&test.db).await;
    let site = Site::start_behind(&test.db, &["127.0.0.1"], Bounds::default()).await;
    let from = async |address: &str, path: &str| {
        site.ask("GET", path, &format!("{PERSON}X-Forwarded-For: {address}\r\n"), b"").await
    };
    let pages = ["/o/guess.gif", "/c/guess", "/u/guess", "/p/guess", "/v/guess"];
    for n in 0..60 {
        let path = pages[n % pages.len()];
        let expected = if path.starts_with("/o/") { 200 } else { 404 };
        assert_eq!(from("192.0.2.7", path).await.status, expected, "{path}");
    }
    for path in pages {
        let answer = from("192.0.2.7", path).await;
        assert_eq!((answer.status, answer.body.len()), (429, 0), "{path}");
        assert_eq!((answer.header("retry-after"), answer.header("connection")), (Some("60"), Some("close")));
    }
    let answer = site.ask("POST", "/u/guess", "X-Forwarded-For: 192.0.2.7\r\nContent-Length: 0\r\n", b"").await;
    assert_eq!(answer.status, 429);
    assert_eq!(from("192.0.2.7", &site.path('o', Use::Open, 1)).await.status, 200, "a true link never waits");
    assert_eq!(from("192.0.2.7", &site.path('u', Use::Unsubscribe, 1)).await.status, 200);
    assert_eq!(from("192.0.2.8", "/c/guess").await.status, 404, "others may err");
    site.world.advance(2_000);
    assert_eq!(from("192.0.2.7", "/c/guess").await.status, 404);
    assert_eq!(from("192.0.2.7", "/c/guess").await.status, 429);
    assert_eq!(number(&test.db, "select count(*) from touch").await, 1);
}

#[tokio::test]
async fn who_falls_silent_is_let_go_and_who_asks_is_kept() {
    let test = crate::support::db::sqlite().await;
    campaign(&test.db).await;
    let bounds = Bounds { head_timeout: Duration::from_millis(300), ..Bounds::default() };
    let site = Site::start_behind(&test.db, &[], bounds).await;
    let request = format!("GET {} HTTP/1.1\r\nHost: t.example\r\n{PERSON}\r\n", site.path('o', Use::Open, 1));
    let half = &request.as_bytes()[..request.len() / 2];
    let begun = Instant::now();
    for said in [&b""[..], half, request.as_bytes()] {
        let mut stream = TcpStream::connect(site.address).await.unwrap();
        stream.write_all(said).await.unwrap();
        let mut heard = Vec::new();
        tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut heard)).await.expect("let go").unwrap();
        assert_eq!(heard.starts_with(b"HTTP/1.1 200 OK"), said.len() == request.len());
    }
    let mut kept = TcpStream::connect(site.address).await.unwrap();
    let mut answer = [0; 4096];
    while begun.elapsed() < Duration::from_secs(2) {
        kept.write_all(request.as_bytes()).await.unwrap();
        assert!(kept.read(&mut answer).await.unwrap() > 0, "who asks again and again stays connected");
    }
}

#[tokio::test]
async fn nothing_forged_leads_anywhere_or_leaves_a_trace() {
    let test = crate::support::db::sqlite().await;
    campaign(&test.db).await;
    let site = Site::start(&test.db).await;
    let stranger = Keyring::new(&[(1, [9; KEY_BYTES])]);
    let token = Token { run: RUN, message: 1, slot: 1, product: 0 };
    let others = [
        format!("/c/{}", stranger.seal(Use::Click, &token)),
        format!("/c/{}", stranger.seal_link(&token, "https://evil.example/")),
        format!("/c/{}", site.keys.seal(Use::Open, &token)),
        "/c/https://evil.example/".to_owned(),
        "/c//evil.example/".to_owned(),
        "/c/?url=https://evil.example/".to_owned(),
        format!("/u/{}", site.keys.seal(Use::Click, &token)),
        format!("/p/{}", stranger.seal(Use::Preferences, &token)),
        "/".to_owned(),
        "/admin".to_owned(),
        "/metrics".to_owned(),
    ];
    for path in others {
        let answer = site.get(&path).await;
        assert_eq!((answer.status, answer.header("location")), (404, None), "{path}");
        assert!(answer.text().contains("leads nowhere"), "{path}");
    }
    let pixel = site.get(&format!("/o/{}.gif", stranger.seal(Use::Open, &token))).await;
    assert_eq!((pixel.status, pixel.body.len()), (200, 43), "a stranger's pixel looks like any other");
    assert_eq!(number(&test.db, "select count(*) from touch").await, 0);
}

#[tokio::test]
async fn a_link_leads_to_the_web_or_nowhere() {
    let test = crate::support::db::sqlite().await;
    campaign(&test.db).await;
    let site = Site::start(&test.db).await;
    let to = |slot, product| site.path_of('c', Use::Click, &Token { run: RUN, message: 1, slot, product });
    assert_eq!(site.get(&to(1, 2)).await.status, 404, "a javascript: address is no destination");
    assert_eq!(site.get(&to(9, 0)).await.status, 404, "no such link");
    assert_eq!(site.get(&to(1, 77)).await.status, 404, "no such product");
    let foreign = site.get(&to(1, 3)).await;
    assert_eq!(foreign.header("location"), Some("https://shop.example/%D1%87%D0%B0%D0%B9%D0%BD%D0%B8%D0%BA"));
    let preview = site.get(&site.path_of('c', Use::Click, &Token { run: 0, message: 1, slot: 1, product: 0 })).await;
    assert_eq!((preview.status, preview.header("location")), (200, None));
    assert_eq!(number(&test.db, "select count(*) from touch where message_id <> 1").await, 0);
}

both_dbs! {
    async fn one_click_unsubscribes_at_once_in_both_encodings(test) {
        campaign(&test.db).await;
        let site = Site::start(&test.db).await;
        let multipart = "--x1\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x1--\r\n";
        let posts = [(1, URLENCODED, "List-Unsubscribe=One-Click"), (2, "multipart/form-data; boundary=x1", multipart)];
        for (member, kind, body) in posts {
            let path = site.path('u', Use::Unsubscribe, member);
            for _ in 0..2 {
                let answer = site.post(&path, kind, body).await;
                assert_eq!(answer.status, 200, "{kind}: {}", answer.text());
                assert!(answer.header("location").is_none() && answer.header("set-cookie").is_none());
            }
            let of = |table: &str| format!("select count(*) from {table} where member_id = {member} and topic = 'offers' and state = 'revoked'");
            assert_eq!(number(&test.db, &of("consent")).await, 1);
            assert_eq!(number(&test.db, &of("consent_log")).await, 1, "the second changes nothing");
            assert_eq!(number(&test.db, &format!("select mail_epoch from member where id = {member}")).await, 1);
        }
        assert_eq!(words(&test.db, "select source from consent_log where member_id = 1").await, "one_click");
        assert_eq!(words(&test.db, "select state from consent where member_id = 1 and topic = 'news'").await, "granted");
        let told = "select count(distinct message_id) from touch where kind = 'unsubscribe' and class = 'human'";
        assert_eq!(number(&test.db, told).await, 2);
    }
}

both_dbs! {
    async fn an_erased_member_s_address_is_kept_off_instead(test) {
        campaign(&test.db).await;
        let site = Site::start(&test.db).await;
        let path = site.path('u', Use::Unsubscribe, 4);
        assert_eq!(site.post(&path, URLENCODED, "List-Unsubscribe=One-Click").await.status, 200);
        let kept = "select count(*) from suppression where addr_key = 104 and scope = 'offers' and reason = 'unsubscribe'";
        assert_eq!(number(&test.db, kept).await, 1);
    }
}

#[tokio::test]
async fn looking_changes_nothing() {
    let test = crate::support::db::sqlite().await;
    campaign(&test.db).await;
    let site = Site::start(&test.db).await;
    let (unsubscribe, preferences) = (site.path('u', Use::Unsubscribe, 1), site.path('p', Use::Preferences, 1));
    for path in [&unsubscribe, &preferences] {
        for method in ["GET", "HEAD"] {
            assert_eq!(site.ask(method, path, PERSON, b"").await.status, 200);
        }
        assert_eq!(site.post(path, URLENCODED, "something=else").await.status, 200);
        assert_eq!(site.post(path, "text/plain", "List-Unsubscribe=One-Click").await.status, 200);
        assert_eq!(site.ask("DELETE", path, PERSON, b"").await.status, 405);
    }
    assert_eq!(number(&test.db, "select count(*) from consent where state = 'revoked'").await, 0);
    assert_eq!(number(&test.db, "select count(*) from consent_log").await, 0);
    assert_eq!(number(&test.db, "select count(*) from touch").await, 0);
    let page = site.get(&unsubscribe).await.text();
    assert!(page.contains(r#"<form method="post""#) && page.contains("offers"), "{page}");
}

#[tokio::test]
async fn an_unsubscribe_can_be_taken_back_for_a_day() {
    let test = crate::support::db::sqlite().await;
    campaign(&test.db).await;
    let site = Site::start(&test.db).await;
    let path = site.path('u', Use::Unsubscribe, 1);
    let state = "select state from consent where member_id = 1 and topic = 'offers'";
    let page = site.post(&path, URLENCODED, "act=unsubscribe").await.text();
    assert!(page.contains("You are unsubscribed") && page.contains("Keep me subscribed"), "{page}");
    assert!(site.get(&path).await.text().contains("You are unsubscribed"));
    assert_eq!(words(&test.db, state).await, "revoked");
    assert!(site.post(&path, URLENCODED, "act=undo").await.text().contains("subscribed again"));
    assert_eq!(words(&test.db, state).await, "granted");
    site.post(&path, URLENCODED, "act=unsubscribe").await;
    site.world.advance(25 * 3_600_000);
    let late = site.post(&path, URLENCODED, "act=undo").await.text();
    assert!(late.contains("You are unsubscribed") && !late.contains("Keep me subscribed"), "{late}");
    assert_eq!(words(&test.db, state).await, "revoked");
}

both_dbs! {
    async fn preferences_change_only_what_was_offered(test) {
        campaign(&test.db).await;
        let site = Site::start(&test.db).await;
        let path = site.path('p', Use::Preferences, 1);
        let page = site.get(&path).await.text();
        assert!(page.contains(r#"value="offers" checked"#) && page.contains(r#"value="news" checked"#), "{page}");
        let save = "act=save&known=offers&known=news&known=secret&topic=news&topic=secret";
        let saved = site.post(&path, URLENCODED, save).await.text();
        assert!(saved.contains("Your choice is saved") && !saved.contains(r#"value="offers" checked"#), "{saved}");
        let state = |topic: &str| format!("select state from consent where member_id = 1 and topic = '{topic}'");
        assert_eq!(words(&test.db, &state("offers")).await, "revoked");
        assert_eq!(words(&test.db, &state("news")).await, "granted");
        assert_eq!(number(&test.db, "select count(*) from consent where topic = 'secret'").await, 0);
        site.post(&path, URLENCODED, "act=save&known=offers&topic=offers").await;
        assert_eq!(words(&test.db, &state("offers")).await, "granted");
        assert_eq!(number(&test.db, "select mail_epoch from member where id = 1").await, 2);
    }
}

#[tokio::test]
async fn pages_speak_the_member_s_language_else_the_browser_s() {
    let test = crate::support::db::sqlite().await;
    campaign(&test.db).await;
    let site = Site::start(&test.db).await;
    for (message, word) in [(1, "Stop receiving"), (2, "Больше не получать"), (3, "不再接收")] {
        assert!(site.get(&site.path('u', Use::Unsubscribe, message)).await.text().contains(word), "{word}");
    }
    let lost = site.ask("GET", "/c/x", "Accept-Language: de, zh-CN;q=0.8, en;q=0.1\r\n", b"").await.text();
    assert!(lost.contains("此链接无效") && lost.contains(r#"<html lang="zh">"#), "{lost}");
}

#[tokio::test]
async fn a_body_of_ten_megabytes_is_refused_and_never_kept() {
    let test = crate::support::db::sqlite().await;
    campaign(&test.db).await;
    let site = Site::start(&test.db).await;
    let path = site.path('u', Use::Unsubscribe, 1);
    let body = vec![b'x'; 10 * 1024 * 1024];
    let headers = format!("{PERSON}Content-Type: {URLENCODED}\r\nContent-Length: {}\r\n", body.len());
    let answer = site.ask("POST", &path, &headers, &body).await;
    assert_eq!(answer.status, 413);
    assert!(answer.text().contains("only a small form"));
    let mut chunked = b"a00000\r\n".to_vec();
    chunked.extend_from_slice(&body);
    chunked.extend_from_slice(b"\r\n0\r\n\r\n");
    let headers = format!("{PERSON}Content-Type: {URLENCODED}\r\nTransfer-Encoding: chunked\r\n");
    assert_eq!(site.ask("POST", &path, &headers, &chunked).await.status, 413);
    let long = format!("/c/{}", "a".repeat(3_000));
    assert_eq!(site.get(&long).await.status, 414);
    let fat = format!("X-Fat: {}\r\n", "a".repeat(64 * 1024));
    assert_eq!(site.ask("GET", "/", &fat, b"").await.status, 431);
    assert_eq!(number(&test.db, "select count(*) from consent_log").await, 0);
}

#[tokio::test]
async fn only_a_trusted_proxy_tells_whom_it_speaks_for() {
    let test = crate::support::db::sqlite().await;
    campaign(&test.db).await;
    let headers = format!("{PERSON}X-Forwarded-For: 198.51.100.7\r\n");
    for (trusted, seen) in [(&[][..], "127.0.0.1"), (&["127.0.0.0/8"], "198.51.100.7"), (&["10.0.0.0/8"], "127.0.0.1")]
    {
        let site = Site::start_behind(&test.db, trusted, Bounds::default()).await;
        site.ask("GET", &site.path('o', Use::Open, 1), &headers, b"").await;
        assert_eq!(last_ip(&test.db).await.to_string(), seen, "{trusted:?}");
    }
}

#[tokio::test]
async fn a_database_away_spoils_no_mail_and_confirms_nothing() {
    let test = crate::support::db::sqlite().await;
    campaign(&test.db).await;
    let site = Site::start(&test.db).await;
    let sealed = format!("/c/{}", site.keys.seal_link(&Token::of(RUN, 1), "https://shop.example/"));
    execute(&test.db, ["drop table touch".to_owned()]).await;
    assert_eq!(site.get(&site.path('o', Use::Open, 1)).await.status, 200);
    assert_eq!(site.get(&sealed).await.status, 302);
    let path = site.path('u', Use::Unsubscribe, 1);
    let refused = site.post(&path, URLENCODED, "List-Unsubscribe=One-Click").await;
    assert_eq!(refused.status, 503, "what is not durable is not confirmed");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(words(&test.db, "select state from consent where member_id = 1 and topic = 'offers'").await, "granted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_are_each_written_once() {
    let test = crate::support::db::sqlite().await;
    campaign(&test.db).await;
    let site = std::sync::Arc::new(Site::start(&test.db).await);
    let asks = (0..200).map(|n| {
        let site = site.clone();
        tokio::spawn(async move { site.get(&site.path('o', Use::Open, 1 + n % 4)).await.status })
    });
    for ask in asks.collect::<Vec<_>>() {
        assert_eq!(ask.await.unwrap(), 200);
    }
    assert_eq!(number(&test.db, "select count(*) from touch").await, 200);
    assert_eq!(number(&test.db, "select count(*) from touch where member_id is null").await, 50);
    assert_eq!(number(&test.db, &format!("select count(*) from touch where at_ms <> {NOW_MS}")).await, 0);
}

#[tokio::test]
async fn a_stopped_listener_is_gone() {
    let test = crate::support::db::sqlite().await;
    campaign(&test.db).await;
    let site = Site::start(&test.db).await;
    let (path, address) = (site.path('o', Use::Open, 1), site.address);
    assert_eq!(site.get(&path).await.status, 200);
    site.stop().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "nobody listens any more");
}
