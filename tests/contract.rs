//! Every answer in JSON is as its schema in `tests/contract/` says: scripts rely on these names.

use std::net::SocketAddr;

use serde_json::Value;

use crate::support::campaign::{sections, write_providers};
use crate::support::contract::Contract;
use crate::support::daemon::{Daemon, Home};
use crate::support::dns::Zone;
use crate::support::sink::{At, Fault, Sink};
use crate::support::site;

const MEMBERS: &str = "\
email,external_id,first_name,locale,zone,topics,points,pet
anna@mail.example,A-1,Anna,en,Europe/Berlin,offers,700,cat
li@post.example,,,zh-Hans-CN,Asia/Shanghai,offers,,
nobody@post.example,,,,,offers,,
silent@mail.example,,,,,,,
not an address,,,,,,,
";
const PRODUCTS: &str = "\
sku,name,category,brand,price,currency,url,stock
F1,Frost 420,kitchen/refrigerator,Aurelia,1299.00,EUR,https://shop.example/f1,3
W1,Wave 9,bath/washer,Nordlys,599.00,EUR,https://shop.example/w1,
";
const ORDERS: &str = "\
order_id,email,ordered_at,sku,quantity,price,currency,status
1001,anna@mail.example,2025-05-01T10:00:00+02:00,W1,1,599.00,EUR,completed
";
const EVENTS: &str = r#"{"type":"track","event":"Product Viewed","messageId":"e1","email":"anna@mail.example","timestamp":"2026-11-01T10:00:00Z","properties":{"sku":"F1"}}
"#;
const HTML: &str = "<html><body><p>Hello</p><a href=\"https://shop.example/sale\">Sale</a>\
    {% for p in products(strategy=\"for_you\", n=1) %}<a href=\"{{ p.url }}\">{{ p.name }}</a>{% endfor %}\
    <p><a href=\"{{ unsubscribe_url() }}\">Unsubscribe</a></p></body></html>\n";

struct Story {
    contract: Contract,
    home: Home,
}

impl Story {
    /// Runs a command that must end with `code`, and judges each line of its answer.
    fn tell(&self, schema: &str, code: i32, arguments: &[&str]) -> Vec<Value> {
        let ran = self.home.run(&[arguments, &["--json"]].concat());
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.stderr);
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let values: Vec<Value> = ran.stdout.lines().map(parse).collect();
        assert!(!values.is_empty(), "{arguments:?} says nothing: {}", ran.stderr);
        values.iter().for_each(|value| self.contract.judge(schema, value));
        values
    }

    fn template(&self, html: &str) {
        let write = |name: &str, text: &str| drop(self.home.write(&format!("templates/goods/{name}"), text));
        write("template.toml", "class = \"marketing\"\ntopic = \"offers\"\ndefault_locale = \"en\"\n");
        write("en.toml", "subject = \"Hello\"\npreheader = \"News\"\n");
        write("en.html", html);
    }

    fn imports(&self) {
        for (kind, file, text) in [
            ("members", "members.csv", MEMBERS),
            ("products", "products.csv", PRODUCTS),
            ("orders", "orders.csv", ORDERS),
            ("events", "events.jsonl", EVENTS),
        ] {
            self.home.write(file, text);
            let answer = &self.tell("import", 0, &["import", kind, file])[0];
            assert_eq!(answer["rejected"], i64::from(kind == "members"), "{kind}: {answer}");
        }
    }

    fn segments(&self) {
        self.tell("segment_count", 0, &["segment", "count", "points >= 500"]);
        self.tell("segment_count", 0, &["segment", "count", "points >= 500", "--sample"]);
        let wide = "points >= 500 and locale = \"en\" and last_order_at is set and attr.pet = \"cat\"";
        self.tell("segment_explain", 0, &["segment", "explain", wide, "--member", "anna@mail.example"]);
        self.tell("segment_saved", 0, &["segment", "save", "rich", "points >= 500"]);
        self.tell("segment_saved", 0, &["segment", "list"]);
    }

    fn templates(&self) {
        self.tell("template_fields", 0, &["template", "check", "--fields"]);
        self.template("<html>{{ member.nothing }}</html>");
        let refused = &self.tell("template_check", 1, &["template", "push", "templates"])[0];
        assert!(!refused["faults"].as_array().expect("faults").is_empty());
        self.template(HTML);
        self.tell("template_check", 0, &["template", "check", "templates"]);
        self.tell("template_pushed", 0, &["template", "push", "templates"]);
        self.tell("template_listed", 0, &["template", "list"]);
        self.tell("template_render", 0, &["template", "render", "goods", "--member", "anna@mail.example"]);
    }

    /// A campaign of which one mail is refused for good, one fails and is tried again.
    async fn campaign(&self, sink: &Sink) {
        let file = "name = \"autumn\"\ntemplate = \"goods\"\nsegment = 'email is set'\nsender = \"offers\"\n";
        self.home.write("campaign.toml", file);
        self.tell("campaign_rehearse", 0, &["campaign", "rehearse", "campaign.toml"]);
        self.tell("campaign_start", 0, &["campaign", "start", "campaign.toml"]);
        sink.script(Fault::say(At::Rcpt, "550 5.1.1 no such user").to("nobody"));
        sink.script(Fault::say(At::Mail, "550 5.1.8 a bad sender").times(1));
        self.tell("shaping_changed", 0, &["shaping", "suspend", "mail", "--for", "30m"]);
        let closed = &self.tell("shaping", 0, &["shaping", "list"])[0];
        assert_eq!(closed["why"], "was suspended by hand", "{closed}");
        self.tell("shaping_changed", 0, &["shaping", "resume", "mail", "--route", "out"]);
        sink.away().await;
        let daemon = self.home.start();
        self.contract.judge("ready", &daemon.ready);
        self.until("sending");
        self.tell("campaign_moved", 0, &["campaign", "pause", "autumn"]);
        self.until("paused");
        self.tell("campaign_moved", 0, &["campaign", "resume", "autumn"]);
        sink.back().await;
        let over = &self.tell("campaign", 3, &["campaign", "wait", "autumn", "--timeout", "60"])[0];
        assert_eq!(over["by_state"]["failed"], 1, "{over}");
        let retried = &self.tell("campaign_retried", 0, &["campaign", "retry", "autumn"])[0];
        assert_eq!(retried["queued"], 1);
        self.tell("campaign", 0, &["campaign", "wait", "autumn", "--timeout", "60"]);
        self.tell("campaign", 0, &["campaign", "list"]);
        let report = &self.tell("campaign_report", 0, &["campaign", "report", "autumn"])[0];
        assert_eq!((&report["by_state"]["sent"], &report["by_state"]["bounced"]), (&2.into(), &1.into()), "{report}");
        assert_eq!(report["refusals"].as_array().map(Vec::len), Some(2), "{report}");
        self.api(&daemon);
        self.home.write(
            "later.toml",
            &file.replace("autumn", "later").replace("sender", "at = \"2099-01-01T00:00:00Z\"\nsender"),
        );
        self.tell("campaign_start", 0, &["campaign", "start", "later.toml"]);
        self.tell("campaign_moved", 0, &["campaign", "cancel", "later"]);
        assert_eq!(daemon.stop(), 0);
    }

    fn until(&self, state: &str) {
        let stands = || self.tell("campaign", 0, &["campaign", "show", "autumn"])[0]["state"].clone();
        assert!((0..1_000).any(|_| stands() == state), "it is never {state}");
    }

    /// The API answers with the same structs under the same names.
    fn api(&self, daemon: &Daemon) {
        let address: SocketAddr = daemon.url("admin").trim_start_matches("http://").parse().expect("an address");
        for (schema, path) in [
            ("campaign", "campaigns/autumn"),
            ("campaign_report", "campaigns/autumn/report"),
            ("member", "members/anna@mail.example"),
        ] {
            let path = format!("/api/v1/{path}");
            let ask = site::ask(address, "GET", &path, "Host: 127.0.0.1\r\n", b"");
            let answer = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(ask));
            assert_eq!(answer.status, 200, "{}", answer.text());
            self.contract.judge(schema, &serde_json::from_slice(&answer.body).expect("JSON"));
        }
    }

    fn people(&self) {
        let messages = self.tell("message", 0, &["message", "list", "--campaign", "autumn"]);
        let refused = messages.iter().find(|message| message["state"] == "bounced").expect("a bounced mail");
        let shown = &self.tell("message_show", 0, &["message", "show", &refused["id"].to_string()])[0];
        assert_eq!(shown["attempts"][0]["code"], 550, "{shown}");
        let anna = &self.tell("member", 0, &["member", "show", "anna@mail.example"])[0];
        for list in ["topics", "tags", "mails", "events", "latest_orders"] {
            assert!(!anna[list].as_array().expect("a list").is_empty(), "{list} of {anna}");
        }
        assert!(!anna["mails"][0]["products"].as_array().expect("a list").is_empty(), "{anna}");
        self.tell("suppression_changed", 0, &["suppression", "add", "anna@mail.example", "--scope", "offers"]);
        self.tell("suppression", 0, &["suppression", "list"]);
        self.tell("suppression_changed", 0, &["suppression", "lift", "anna@mail.example", "--scope", "offers"]);
        self.tell("member_export", 0, &["member", "export", "anna@mail.example"]);
        self.tell("member_erased", 0, &["member", "erase", "anna@mail.example"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_keeps_its_promise() {
    let sink = Sink::start().await;
    let home = Home::new(&format!("{}[dns]\nservers = [\"{}\"]\n", sections(&sink), Zone::default().serve()));
    write_providers(&home);
    let story = Story { contract: Contract::read(), home };
    story.tell("check", 0, &["check"]);
    story.tell("doctor", 1, &["doctor"]);
    story.imports();
    story.segments();
    story.templates();
    story.campaign(&sink).await;
    story.people();
    story.home.write("bad.toml", "[http]\nlisten = \"nowhere\"\n");
    story.tell("check", 1, &["check", "--config", "bad.toml"]);
    assert_eq!(story.contract.unused(), Vec::<String>::new(), "schemas that no answer was judged by");
}
