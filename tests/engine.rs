//! An engine outside that suggests products: asked for each batch, believed within the rules, done without when it is
//! slow or wrong.

use std::sync::{Arc, Mutex};

use indicia::store::{Db, OpenOptions};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::campaign::{Campaign, sections};
use crate::support::daemon::Home;
use crate::support::sink::Sink;
use crate::support::site::words;

const MEMBERS: [&str; 4] = ["anna@mail.example", "boris@mail.example", "clara@post.example", "dora@letters.example"];
const HTML: &str = "<html><body>{% for p in products(strategy=\"for_you\", n=2) %}<p>{{ p.name }}: {{ p.reason }}</p>{% endfor %}\
    <p><a href=\"{{ unsubscribe_url() }}\">Unsubscribe</a></p></body></html>\n";

/// What the engine was asked.
type Questions = Arc<Mutex<Vec<Value>>>;
/// The bytes that a question is answered with; `None`: it never is.
type Says = Option<fn(&Value) -> String>;

/// An engine on a port of its own that answers every question as `answer` says.
async fn engine(answer: Says) -> (String, Questions) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/suggest?key=1", listener.local_addr().unwrap());
    let (questions, kept) = (Questions::default(), Arc::new(Mutex::new(Vec::new())));
    let seen = questions.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let Some(question) = read(&mut stream).await else { continue };
            seen.lock().unwrap().push(question.clone());
            match answer {
                Some(answer) => drop(stream.write_all(answer(&question).as_bytes()).await),
                None => kept.lock().unwrap().push(stream),
            }
        }
    });
    (url, questions)
}

/// The JSON of one request.
async fn read(stream: &mut TcpStream) -> Option<Value> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_lowercase().split("content-length: ").nth(1)?.lines().next()?.parse::<usize>().ok()?;
            if body.len() >= length {
                assert!(head.starts_with("POST /suggest?key=1 HTTP/1.1"), "{head}");
                return serde_json::from_str(body).ok();
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

/// A campaign of two products to each of [`MEMBERS`], and what it showed each of them.
async fn shown(url: &str, budget: &str) -> (Vec<Value>, String) {
    let sink = Sink::start().await;
    let engine = format!("{}[recommend.engine]\nurl = \"{url}\"\nbudget = \"{budget}\"\n", sections(&sink));
    let home = Home::new(&engine);
    home.write("templates/plain/en.html", HTML);
    let mut members = "email,external_id,topics,personalise\n".to_owned();
    for email in MEMBERS {
        let wish = if email.starts_with("dora") { "no" } else { "" };
        members += &format!("{email},x-{email},offers,{wish}\n");
    }
    home.write("more.csv", &members);
    let products = "sku,name,category,url,price,currency,stock\n\
        A,Ants,a/x,https://shop.example/a,1.00,EUR,5\nB,Bees,b/x,https://shop.example/b,1.00,EUR,5\n\
        C,Cats,c/x,https://shop.example/c,1.00,EUR,5\nZ,Gone,z/x,https://shop.example/z,1.00,EUR,0\n";
    home.write("products.csv", products);
    let campaign = Campaign::at(home, &MEMBERS.map(str::to_owned));
    campaign.home.done(&["import", "members", "more.csv"]);
    campaign.home.done(&["import", "products", "products.csv"]);
    campaign.home.write("templates/plain/en.html", HTML);
    campaign.home.done(&["template", "push", "templates"]);
    let daemon = campaign.home.start();
    campaign.start(None);
    campaign.finished(&sink, &daemon).all_sent(MEMBERS.len());
    let log = daemon.log_text();
    assert_eq!(daemon.stop(), 0);
    let url = format!("sqlite://{}", campaign.home.path().join("data/indicia.db").display());
    let db = Db::open(&url, &OpenOptions::default()).await.unwrap();
    let mut all = Vec::new();
    for email in MEMBERS {
        let sql = format!(
            "select s.body from shown s join message m on m.run_id = s.run_id and m.id = s.message_id
             join member p on p.id = m.member_id where p.email = '{email}'"
        );
        all.push(serde_json::from_str::<Value>(&words(&db, &sql).await).unwrap()["p"].clone());
    }
    db.close().await;
    (all, log)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_suggests_is_shown_as_far_as_the_rules_let_it() {
    let (url, questions) = engine(Some(|question| {
        let told = |asked: &Value| match asked["external_id"].as_str().unwrap() {
            // The last article there is, one nobody knows, and one that is sold out.
            "x-anna@mail.example" => json!({ "id": asked["id"], "skus": ["Z", "NOPE", "C"] }),
            "x-boris@mail.example" => json!({ "id": asked["id"], "skus": ["B", "B", "A"] }),
            _ => json!({ "id": asked["id"], "skus": [] }),
        };
        let mut members: Vec<Value> = question["members"].as_array().unwrap().iter().map(told).collect();
        // Nobody asked about the one who wants nothing personal.
        members.push(json!({ "id": 4, "skus": ["C"] }));
        http("200 OK", &json!({ "members": members }).to_string())
    }))
    .await;
    // A batch on a busy machine may wait long for its answer.
    let (shown, log) = shown(&url, "20s").await;
    assert_eq!(shown[0][0], json!([3, "g"]), "{shown:?}\n{log}");
    assert_eq!((&shown[1][0], &shown[1][1]), (&json!([2, "g"]), &json!([1, "g"])), "{shown:?}");
    assert!(!shown[2].to_string().contains("\"g\"") && !shown[3].to_string().contains("\"g\""), "{shown:?}");
    assert!(!log.contains("left alone"), "{log}");
    let questions = questions.lock().unwrap();
    let asked: Vec<&Value> = questions.iter().flat_map(|question| question["members"].as_array().unwrap()).collect();
    assert_eq!(asked.len(), 3, "{questions:?}");
    assert!(questions.iter().all(|question| question["n"] == 24 && question["run"] == 1));
    let keys: Vec<&String> = asked[0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["bought", "external_id", "id", "locale", "market", "viewed"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_or_wrong_one_is_done_without() {
    let wrong: [Says; 4] = [
        None,
        Some(|_| http("500 Internal Server Error", "oh")),
        Some(|_| http("200 OK", "<html>no JSON</html>")),
        Some(|_| "nonsense".to_owned()),
    ];
    for answer in wrong {
        let (url, questions) = engine(answer).await;
        let (shown, _) = shown(&url, "30ms").await;
        assert!(shown.iter().all(|products| products.as_array().unwrap().len() == 2), "{shown:?}");
        assert!(!json!(shown).to_string().contains("\"g\""));
        assert!(!questions.lock().unwrap().is_empty(), "it was asked");
    }
}
