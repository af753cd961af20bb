//! What a person does to a running campaign: pause, change the template, resume; cancel; try again what failed.

use std::net::SocketAddr;

use crate::support::campaign::{Campaign, NAME, people};
use crate::support::sink::{At, Fault, Sink, header};
use crate::support::site;

const MEMBERS: usize = 400;
/// Mails per second: slow enough that a command on a busy machine comes in the midst of it.
const SLOW: f64 = 60.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_campaign_goes_on_with_the_new_template() {
    let sink = Sink::start().await;
    let campaign = Campaign::new(&sink, &people(MEMBERS), &[]);
    let daemon = campaign.home.start();
    campaign.start(Some(SLOW));
    sink.wait_for(MEMBERS / 8).await;
    campaign.home.done(&["campaign", "pause", NAME]);
    campaign.until(|shown| shown["state"] == "paused");
    let before = campaign.accounts(&sink);
    let (first, rest) = (before.n("sent"), before.n("queued"));
    assert_eq!(first + rest, MEMBERS, "paused means that nothing is on its way: {before:?}");
    assert!(rest > 0, "the pause came too late to show anything");

    campaign.push("Changed");
    campaign.until(|_| sink.count() >= first);
    assert_eq!(sink.count(), first, "nothing leaves while it is paused");
    campaign.home.done(&["campaign", "resume", NAME]);
    let after = campaign.finished(&sink, &daemon);
    after.all_sent(MEMBERS);
    let subject = |word: &str| {
        sink.accepted().iter().filter(|mail| header(&mail.head, "Subject").as_deref() == Some(word)).count()
    };
    assert_eq!((subject("Hello"), subject("Changed")), (first, rest));
    let versions: Vec<(Option<u64>, Option<u64>)> = after.report["templates"]
        .as_array()
        .expect("a list of versions")
        .iter()
        .map(|used| (used["version"].as_u64(), used["n"].as_u64()))
        .collect();
    assert_eq!(versions, [(Some(1), Some(first as u64)), (Some(2), Some(rest as u64))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_campaign_sends_no_more() {
    let sink = Sink::start().await;
    let campaign = Campaign::new(&sink, &people(MEMBERS), &[]);
    let daemon = campaign.home.start();
    campaign.start(Some(SLOW));
    sink.wait_for(MEMBERS / 8).await;
    campaign.home.done(&["campaign", "cancel", NAME]);
    let accounts = campaign.finished(&sink, &daemon);
    assert_eq!(campaign.state(), "cancelled");
    assert_eq!(accounts.n("sent") + accounts.n("cancelled"), MEMBERS, "{accounts:?}");
    assert!(accounts.n("cancelled") > 0, "the cancel came too late to show anything");
    assert_eq!(campaign.home.run(&["campaign", "resume", NAME]).code, 1, "a cancelled campaign does not come back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_failed_is_tried_again_when_a_person_asks() {
    let sink = Sink::start().await;
    sink.script(Fault::say(At::Mail, "550 5.7.1 your contract has ended").after(100));
    let campaign = Campaign::new(&sink, &people(MEMBERS), &[]);
    let daemon = campaign.home.start();
    campaign.start(None);
    let failed = campaign.finished(&sink, &daemon);
    assert_eq!((failed.n("sent"), failed.because("sender_refused")), (100, MEMBERS as u64 - 100), "{failed:?}");
    sink.behave();
    let address: SocketAddr = daemon.url("admin").trim_start_matches("http://").parse().expect("an address");
    let ask = async |method: &str, path: &str| {
        let headers = "Host: 127.0.0.1\r\nContent-Length: 0\r\n";
        let answer = site::ask(address, method, path, headers, b"").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    };
    let page = ask("GET", &format!("/admin/campaigns/{NAME}")).await;
    assert!(page.contains(&format!("/admin/campaigns/{NAME}/retry")), "{page}");
    let stands = ask("POST", &format!("/api/v1/campaigns/{NAME}/retry")).await;
    assert!(stands.contains("\"state\":\"sending\"") && stands.contains("\"failed\":0"), "{stands}");
    campaign.finished(&sink, &daemon).all_sent(MEMBERS);
}
