//! `indicia check` finds every fault at once, says each one's fix, and changes nothing.

use indicia::domain::campaign::MailClass;
use indicia::domain::template::{Part, Source};
use indicia::store::{Db, Lane, OpenOptions, template};

use crate::support::daemon::Home;

#[test]
fn every_part_is_looked_at() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let home = Home::new(&format!(
        "[[tokens.key]]\nid = 3\nfile = \"short.key\"\n[rules]\ntags = \"tags.toml\"\ncategories = \"categories.toml\"\nshaping = \"shaping.toml\"\n\
         [[route]]\nname = \"dead\"\nhost = \"127.0.0.1\"\nport = {closed}\ntls = \"none\"\n\
         [[route]]\nname = \"locked\"\nhost = \"127.0.0.1\"\ntls = \"none\"\nusername = \"u\"\npassword_file = \"gone\"\n\
         [[route.provider]]\nname = \"gmial\"\nper_second = 1.0\n"
    ));
    home.write("short.key", "abcd\n");
    home.write("categories.toml", "[[category]]\nnames = [\"sofa\"]\nservice_years = 0\n");
    home.write("tags.toml", "[[rule]]\nwhen = 7\n");
    home.write("shaping.toml", "[[provider]]\nname = \"gmail\"\ndomains = [\"gmail\"]\n");
    let ran = home.run(&["check", "--json"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let found: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one JSON object");
    assert_eq!(found["ok"], false);
    let list = |name: &str| -> Vec<String> {
        let items = found[name].as_array().unwrap().iter();
        items
            .map(|item| {
                assert!(!item["fix"].as_str().unwrap().is_empty(), "{item}");
                format!("{}: {}: {}", item["part"].as_str().unwrap(), item["place"].as_str().unwrap(), item["what"])
            })
            .collect()
    };
    let (faults, warnings) = (list("faults"), list("warnings"));
    let some = |list: &[String], parts: &[&str]| {
        assert!(list.iter().any(|line| parts.iter().all(|part| line.contains(part))), "no {parts:?} in {list:#?}");
    };
    some(&faults, &["tokens: ", "short.key", "64 hexadecimal digits"]);
    some(&faults, &["rules: ", "tags.toml:"]);
    some(&faults, &["rules: ", "categories.toml", "write 0.1 to 100"]);
    some(&faults, &["rules: ", "shaping", "no lower-case domain"]);
    some(&faults, &["routes: locked", "password_file"]);
    some(&warnings, &["routes: dead (127.0.0.1:", "refused"]);
    some(&warnings, &["database: ", "no database"]);
    some(&warnings, &["senders: ", "none"]);
    assert!(!home.path().join("data").exists(), "a check must change nothing");
}

#[test]
fn faults_of_the_file_itself_come_with_their_lines() {
    let home = Home::new("[queue]\nbeat = \"1m\"\nbeet = 1\n");
    let ran = home.run(&["check", "--json"]);
    assert_eq!(ran.code, 1);
    let found: serde_json::Value = serde_json::from_str(&ran.stdout).expect("one JSON object");
    let places: Vec<&str> = found["faults"].as_array().unwrap().iter().map(|f| f["place"].as_str().unwrap()).collect();
    assert_eq!(places, ["indicia.toml:5", "indicia.toml:7"], "{found}");
    assert_eq!(home.run(&["check"]).stdout, "indicia.toml: 2 faults, 0 warnings\n");
}

#[test]
fn a_sound_home_passes() {
    let home = Home::new(
        "[[sender]]\nname = \"offers\"\nfrom = \"Shop <offers@example.com>\"\npostal_address = \"1 Market Street\"\n",
    );
    home.done(&["migrate"]);
    let found = home.json(&["check"]);
    assert_eq!((&found["ok"], found["faults"].as_array().unwrap().len()), (&true.into(), 0), "{found}");
    let warnings = found["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1, "the built-in mailbox is said: {found}");
    assert!(warnings[0]["what"].as_str().unwrap().contains("built-in mailbox"), "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_published_template_that_no_longer_compiles_is_told() {
    let home = Home::new("");
    home.done(&["migrate"]);
    let url = format!("sqlite://{}", home.path().join("data/indicia.db").display());
    let db = Db::open(&url, &OpenOptions::default()).await.unwrap();
    let html = "<p>Hello {{ member.first_name | shout_as_it_once_did }}</p>".to_owned();
    let part = Part { locale: "en".into(), subject: "News".into(), html, ..Part::default() };
    let source = Source {
        name: "news".into(),
        class: MailClass::Marketing,
        topic: "offers".into(),
        default_locale: "en".into(),
        link_hosts: Vec::new(),
        parts: vec![part],
    };
    let mut tx = db.begin(Lane::Bulk).await.unwrap();
    template::publish(tx.conn(), &source, &[], 1).await.unwrap();
    tx.commit().await.unwrap();
    db.close().await;
    let ran = home.run(&["check"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("fault: templates: news version 1: en.html:1"), "{}", ran.stderr);
    assert!(ran.stderr.contains("shout_as_it_once_did"), "{}", ran.stderr);
}
