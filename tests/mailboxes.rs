//! Bounces that lie in a mailbox of another mail system: taken out over IMAP and POP3, everything else left where it
//! is.

use std::collections::HashMap;

use data_encoding::BASE64;

use crate::support::campaign::{Campaign, people};
use crate::support::daemon::Daemon;
use crate::support::post_office::{Mood, PASSWORD, PostOffice, USER};
use crate::support::sink::Sink;

/// A bounce as old mailers write it.
const GONE: &str = "From: MAILER-DAEMON@old.example\r\nSubject: failure notice\r\n\r\nHi. I wasn't able to deliver your message.\r\n\r\n\
                    <somebody@elsewhere.example>:\r\n192.0.2.1 does not like recipient.\r\n.leading dot\r\nRemote host said: 550 5.1.1 no such user\r\n";
const HELLO: &str = "From: anna@elsewhere.example\r\nSubject: Hello there\r\n\r\nWhen do you open?\r\n";

struct Shop {
    office: PostOffice,
    campaign: Campaign,
    daemon: Daemon,
    /// The envelope sender of each member's mail.
    from: HashMap<String, String>,
}

impl Shop {
    /// A campaign to six members, sent; then a daemon that looks into the mailbox.
    async fn open(protocol: &str) -> Shop {
        let sink = Sink::start().await;
        let mut campaign = Campaign::new(&sink, &people(6), &[]);
        let daemon = campaign.home.start();
        campaign.start(None);
        campaign.finished(&sink, &daemon).all_sent(6);
        assert_eq!(daemon.stop(), 0);
        let from = sink.accepted().into_iter().map(|mail| (mail.to[0].clone(), mail.from.clone())).collect();
        let office = PostOffice::open().await;
        let (protocol, address, tls) = match protocol {
            "imap" => ("imap", office.imap, "none"),
            "imap+starttls" => ("imap", office.imap, "starttls"),
            "pop3" => ("pop3", office.pop3, "none"),
            "pop3+stls" => ("pop3", office.pop3, "starttls"),
            _ => ("imap", office.imaps, "implicit"),
        };
        let (pem, port) = (BASE64.encode(&office.certificate), address.port().to_string());
        campaign.home.write("ca.pem", &format!("-----BEGIN CERTIFICATE-----\n{pem}\n-----END CERTIFICATE-----\n"));
        campaign.home.write("bounces.password", &format!("{PASSWORD}\n"));
        for (key, value) in [
            ("PROTOCOL", protocol),
            ("HOST", "localhost"),
            ("PORT", &port),
            ("TLS", tls),
            ("USERNAME", USER),
            ("PASSWORD_FILE", "bounces.password"),
            ("CA_FILE", "ca.pem"),
            ("POLL", "50ms"),
        ] {
            campaign.home.env(&format!("INDICIA__INBOUND__MAILBOX__0__{key}"), value);
        }
        campaign.home.env("INDICIA__INBOUND__MAIL_BYTES_MAX", "131072");
        let daemon = campaign.home.start();
        Shop { office, campaign, daemon, from }
    }

    fn bounce_of(&self, email: &str) -> String {
        format!("Delivered-To: {}\r\n{GONE}", self.from[email])
    }

    fn reason(&self, email: &str) -> Option<String> {
        let shown = self.campaign.home.json(&["member", "show", email]);
        shown["suppressions"][0]["reason"].as_str().map(str::to_owned)
    }

    fn strays(&self) -> usize {
        self.campaign.home.done(&["bounce", "list", "--json"]).stdout.lines().count()
    }

    /// What every protocol does.
    async fn takes_its_own_and_leaves_the_rest(self) {
        self.office.deliver(HELLO);
        self.office.deliver(&self.bounce_of("m0@mail.example"));
        // A look that began before is not the one that counts.
        self.office.sessions(3).await;
        assert_eq!(self.office.mails(), [HELLO], "{}", self.daemon.log_text());
        assert_eq!(self.reason("m0@mail.example").as_deref(), Some("hard_bounce"));
        assert_eq!(self.strays(), 1, "what is not ours is shown");
        self.office.reads();
        self.office.sessions(3).await;
        assert_eq!(self.office.reads(), 0, "what was looked at is not looked at again");

        // More than it may read stays, and stands in nobody's way.
        let large = format!("Subject: large\r\n\r\n{}\r\n", "x".repeat(70) + "\r\n").repeat(2_000);
        self.office.deliver(&large);
        self.office.deliver(&self.bounce_of("m1@post.example"));
        self.office.sessions(3).await;
        assert_eq!(self.office.mails(), [HELLO, &large]);
        assert_eq!(self.reason("m1@post.example").as_deref(), Some("hard_bounce"));
        assert!(self.daemon.log_text().contains("a mail stays unread"), "{}", self.daemon.log_text());

        // A server in a bad mood costs nothing but time.
        self.office.deliver(&self.bounce_of("m2@letters.example"));
        self.office.moods(&[Mood::HangsUp, Mood::Garbage, Mood::Endless, Mood::Refuses, Mood::HangsUp]);
        self.office.sessions(9).await;
        assert!(self.office.is_calm());
        assert_eq!(self.office.mails().len(), 2, "{}", self.daemon.log_text());
        assert_eq!(self.reason("m2@letters.example").as_deref(), Some("hard_bounce"));
        assert!(!self.daemon.log_text().contains(PASSWORD), "a password in the log");

        // The mailbox was made anew: what lies there is looked at again, and changes nothing.
        self.office.reads();
        self.office.renumber();
        self.office.sessions(3).await;
        assert_eq!((self.office.reads(), self.office.mails().len(), self.strays()), (1, 2, 1));
        self.passes_over_what_is_withheld().await;
        assert_eq!(self.daemon.stop(), 0);
    }

    /// A mail that the server will not give stands in nobody's way once one behind it was given.
    async fn passes_over_what_is_withheld(&self) {
        self.office.moods(&[Mood::Withholds; 1_000]);
        // A look that began before is in another mood.
        self.office.sessions(2).await;
        self.office.deliver_together(&[&self.bounce_of("m3@mail.example"), &self.bounce_of("m4@post.example")]);
        self.office.sessions(3).await;
        self.office.moods(&[]);
        assert_eq!(self.reason("m4@post.example").as_deref(), Some("hard_bounce"), "{}", self.daemon.log_text());
        assert_eq!(self.reason("m3@mail.example"), None);
        assert_eq!(self.office.mails().len(), 3);
    }
}

/// What an upgrade to TLS must not do; `word` begins it, and `secrets` are the words that carry the password.
async fn upgrades_or_gives_up(protocol: &str, word: &str, secrets: &[&str]) {
    let shop = Shop::open(protocol).await;
    shop.office.sessions(2).await;
    let (clear, signed_in) = shop.office.heard();
    assert!(signed_in > 0 && clear.iter().all(|line| line.ends_with(word)), "{clear:?}");
    for (mood, why) in [(Mood::Plain, "refused to begin TLS"), (Mood::Injects, "before the TLS handshake")] {
        shop.office.moods(&[mood; 1_000]);
        // A look that began before is not the one that counts.
        shop.office.sessions(1).await;
        shop.office.heard();
        shop.office.sessions(3).await;
        let (clear, signed_in) = shop.office.heard();
        assert_eq!(signed_in, 0, "{mood:?}");
        assert!(!clear.is_empty() && !secrets.iter().any(|secret| clear.join("\n").contains(secret)), "{clear:?}");
        assert!(shop.daemon.log_text().contains(why), "{mood:?}: {}", shop.daemon.log_text());
        shop.office.moods(&[]);
        shop.office.sessions(2).await;
    }
    shop.office.deliver(&shop.bounce_of("m0@mail.example"));
    shop.office.sessions(3).await;
    assert_eq!(shop.reason("m0@mail.example").as_deref(), Some("hard_bounce"), "{}", shop.daemon.log_text());
    assert_eq!(shop.daemon.stop(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starttls_of_imap_is_meant() {
    upgrades_or_gives_up("imap+starttls", "STARTTLS", &["LOGIN", USER]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stls_of_pop3_is_meant() {
    upgrades_or_gives_up("pop3+stls", "STLS", &["USER", "PASS", USER]).await;
}

/// The server's certificate is for `localhost`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_another_name_gets_no_password() {
    for protocol in ["imap+starttls", "pop3+stls"] {
        let mut shop = Shop::open(protocol).await;
        assert_eq!(shop.daemon.stop(), 0);
        shop.campaign.home.env("INDICIA__INBOUND__MAILBOX__0__HOST", "127.0.0.1");
        shop.office.heard();
        shop.daemon = shop.campaign.home.start();
        shop.office.sessions(2).await;
        assert_eq!(shop.office.heard().1, 0);
        assert!(shop.daemon.log_text().contains("the TLS handshake failed"), "{}", shop.daemon.log_text());
        assert_eq!(shop.daemon.stop(), 0);
    }
}

/// Anybody may write a mail of one long line to the address that bounces go to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_long_line_stands_in_nobodys_way() {
    for protocol in ["imap", "pop3"] {
        let shop = Shop::open(protocol).await;
        shop.office.deliver(&format!("Subject: long\r\n\r\n{}\r\n", "x".repeat(100_000)));
        shop.office.deliver(&shop.bounce_of("m0@mail.example"));
        shop.office.sessions(3).await;
        assert_eq!(shop.reason("m0@mail.example").as_deref(), Some("hard_bounce"), "{}", shop.daemon.log_text());
        assert_eq!(shop.office.mails().len(), 1);
        assert_eq!(shop.daemon.stop(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_imap() {
    Shop::open("imap").await.takes_its_own_and_leaves_the_rest().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_imap_with_tls() {
    Shop::open("imaps").await.takes_its_own_and_leaves_the_rest().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_pop3() {
    Shop::open("pop3").await.takes_its_own_and_leaves_the_rest().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_uidplus_nothing_of_others_is_expunged() {
    let shop = Shop::open("imap").await;
    shop.office.without_uidplus();
    // Whoever looked before was told otherwise.
    shop.office.sessions(2).await;
    shop.office.deliver(&shop.bounce_of("m0@mail.example"));
    shop.office.sessions(3).await;
    assert_eq!(shop.office.mails().len(), 1, "it is marked, and nothing more");
    assert_eq!(shop.reason("m0@mail.example").as_deref(), Some("hard_bounce"));
    shop.office.reads();
    shop.office.sessions(3).await;
    assert_eq!(shop.office.reads(), 0);
    assert_eq!(shop.daemon.stop(), 0);
}
