//! A mail over which daemons died: tried apart before a daemon holds it again, so that it ends and nothing else does.

use indicia::store::{Db, OpenOptions};

use crate::support::campaign::{Campaign, people};
use crate::support::sink::Sink;
use crate::support::site::execute;

const MEMBERS: usize = 12;

/// A page that is harmless for everybody but whoever is called Boom: theirs takes long, and writes nothing meanwhile.
fn page() -> String {
    let filters = "| lower | upper ".repeat(50);
    let work =
        format!("{{% for a in range(end=200) %}}{{% if letters {filters} == \"\" %}}{{% endif %}}{{% endfor %}}");
    format!(
        "<html><body><p>{{{{ member.first_name }}}}</p>{{% if member.first_name == \"Boom\" %}}\
         {{% set letters = \"{}\" %}}{}{{% endif %}}\
         <p><a href=\"{{{{ unsubscribe_url() }}}}\">Unsubscribe</a></p></body></html>\n",
        "a b ".repeat(80_000),
        work.repeat(20)
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_that_kills_ends_and_the_others_are_sent() {
    let sink = Sink::start().await;
    sink.away().await;
    let campaign = Campaign::new(&sink, &people(MEMBERS), &[]);
    campaign.home.write("templates/plain/en.html", &page());
    campaign.home.done(&["template", "push", "templates"]);
    let daemon = campaign.home.start();
    campaign.start(None);
    campaign.until(|shown| shown["state"] == "sending" && shown["by_state"]["queued"] == MEMBERS);
    assert_eq!(daemon.stop(), 0);

    // Three daemons died with all of them at hand, one of them rightly suspected.
    let url = format!("sqlite://{}", campaign.home.path().join("data/indicia.db").display());
    let db = Db::open(&url, &OpenOptions::default()).await.unwrap();
    execute(
        &db,
        ["update message set crashes = 3".to_owned(), "update member set first_name = 'Boom' where id = 2".to_owned()],
    )
    .await;
    db.close().await;

    sink.back().await;
    let daemon = campaign.home.start();
    let accounts = campaign.finished(&sink, &daemon);
    assert_eq!((accounts.n("sent"), accounts.n("failed")), (MEMBERS - 1, 1), "{}", daemon.log_text());
    assert_eq!(accounts.because("render"), 1);
    let told = &accounts.report["refusals"].as_array().unwrap().iter().find(|refusal| refusal["class"] == "crash");
    let told = told.unwrap_or_else(|| panic!("{}", accounts.report));
    assert_eq!((&told["stage"], &told["n"]), (&"render".into(), &1.into()));
    assert!(told["text"].as_str().unwrap().contains("daemons died over this mail 3 times"), "{told}");
    assert!(daemon.log_text().contains("kills the process that renders it"), "{}", daemon.log_text());
    assert_eq!(daemon.stop(), 0);
}
