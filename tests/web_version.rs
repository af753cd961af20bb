//! The web version of a sent mail: what was shown, not what would be shown today.

use indicia::base::token::{Keyring, Token, Use};
use indicia::domain::campaign::MailClass;
use indicia::domain::template::{Part, Source};
use indicia::render::compile;
use indicia::store::{Lane, template};

use crate::both_dbs;
use crate::support::site::{PERSON, RUN, Site, campaign, execute, number};

fn source() -> Source {
    let html = "<html lang=\"en\"><body><p>You have {{ member.points }} points.</p>\
        <a href=\"https://shop.example/sale\">Sale</a> <a href=\"{{ unsubscribe_url() }}\">Unsubscribe</a></body></html>";
    let part = Part {
        locale: "en".into(),
        subject: "Sale".into(),
        preheader: "Now".into(),
        html: html.into(),
        ..Part::default()
    };
    Source {
        name: "web-sale".into(),
        class: MailClass::Marketing,
        topic: "offers".into(),
        default_locale: "en".into(),
        link_hosts: Vec::new(),
        parts: vec![part],
    }
}

both_dbs! {
    async fn a_mail_is_shown_again_as_it_was(test) {
        campaign(&test.db).await;
        let source = source();
        let compiled = compile(&source).expect("the template compiles");
        let mut tx = test.db.begin(Lane::Bulk).await.unwrap();
        template::publish(tx.conn(), &source, &compiled.links, 0).await.unwrap();
        tx.commit().await.unwrap();
        let version = number(&test.db, "select max(id) from template_version").await;
        execute(&test.db, [
            format!("update message set template_version_id = {version}, armed_at_ms = 5 where id in (1, 4)"),
            format!("insert into shown (run_id, message_id, body) values (1, 1, '{{\"v\":{version},\"l\":\"en\",\"b\":77,\"p\":[]}}'),
                (1, 4, '{{\"v\":{version},\"l\":\"en\",\"b\":77,\"p\":[]}}')"),
            "update member set points = 5".to_owned(),
        ]).await;
        let site = Site::start(&test.db).await;
        let answer = site.get(&site.path('v', Use::WebVersion, 1)).await;
        let page = answer.text();
        assert_eq!(answer.status, 200, "{page}");
        assert!(page.contains("You have 77 points."), "{page}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("sandbox") && !policy.contains("script"), "{policy}");
        let link = page.split("/c/").nth(1).and_then(|rest| rest.split('"').next()).expect("a tracked link");
        let led = site.get(&format!("/c/{link}")).await;
        assert_eq!(led.header("location"), Some("https://shop.example/sale"), "its links are the mail's own");
        assert_eq!(number(&test.db, "select count(*) from touch where kind = 'web_version' and message_id = 1").await, 1);

        assert_eq!(site.get(&site.path('v', Use::WebVersion, 4)).await.status, 404, "its member is erased");
        assert_eq!(site.get(&site.path('v', Use::WebVersion, 2)).await.status, 404, "nothing is recorded of it");
        let stranger = Keyring::new(&[(1, [9; 32])]).seal(Use::WebVersion, &Token::of(RUN, 1));
        assert_eq!(site.get(&format!("/v/{stranger}")).await.status, 404);
        assert_eq!(site.ask("POST", &site.path('v', Use::WebVersion, 1), PERSON, b"").await.status, 405);
    }
}
