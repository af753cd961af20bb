//! Versions of templates: published whole, never twice, read back as they were.

use indicia::domain::campaign::MailClass;
use indicia::domain::template::{Link, Part, Source};
use indicia::store::template::{self, Published};
use indicia::store::{Lane, StoreError};

use crate::both_dbs;
use crate::support::db::TestDb;

fn source(html: &str) -> Source {
    let part = |locale: &str| Part {
        locale: locale.into(),
        subject: "Привет, \"друг\"".into(),
        html: html.into(),
        text: "line\nline".into(),
        texts: [("hello".to_owned(), "你好".to_owned())].into(),
        ..Part::default()
    };
    Source {
        name: "offer".into(),
        class: MailClass::Marketing,
        topic: "offers".into(),
        default_locale: "en".into(),
        link_hosts: vec!["a.example".into(), "b.example".into()],
        parts: vec![part("en"), part("zh")],
    }
}

fn links() -> Vec<Link> {
    [(1, "https://a.example/?x=1"), (2, "")]
        .map(|(slot, url)| Link { slot, url: url.into(), label: "Buy".into() })
        .to_vec()
}

async fn publish(test: &TestDb, source: &Source, now_ms: i64) -> Result<Published, StoreError> {
    let mut tx = test.db.begin(Lane::Bulk).await?;
    let published = template::publish(tx.conn(), source, &links(), now_ms).await?;
    tx.commit().await?;
    Ok(published)
}

both_dbs! {
    async fn a_version_comes_back_as_it_was_and_an_unchanged_source_makes_none(test) {
        let first = source("<p>one</p>");
        let Published::New(one) = publish(&test, &first, 5).await.unwrap() else { panic!("nothing was published") };
        assert_eq!((one.version, one.name.as_str(), one.created_at_ms), (1, "offer", 5));
        assert_eq!(publish(&test, &first, 6).await.unwrap(), Published::Unchanged(one.clone()));
        let Published::New(two) = publish(&test, &source("<p>two</p>"), 7).await.unwrap() else { panic!("no second") };
        assert_eq!(two.version, 2);
        let mut reader = test.db.reader().await.unwrap();
        assert_eq!(template::latest(reader.conn(), "offer").await.unwrap(), Some(two.clone()));
        assert_eq!(template::list(reader.conn()).await.unwrap(), [two]);
        assert_eq!(template::source(reader.conn(), one.id).await.unwrap(), Some(first));
        assert_eq!(template::links(reader.conn(), one.id).await.unwrap(), links());
        assert_eq!(template::source(reader.conn(), 999).await.unwrap(), None);
        assert_eq!(template::latest(reader.conn(), "nothing").await.unwrap(), None);
    }
}
