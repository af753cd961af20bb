//! Permission in the store: consent and suppression by batch, and what every change of them does to the mail epoch.

use indicia::base::World;
use indicia::domain::address::Email;
use indicia::domain::consent::{ConsentEvent, ConsentState};
use indicia::domain::member::Member;
use indicia::domain::suppression::{SCOPE_ALL, SuppressionReason};
use indicia::store::consent::{self, Change};
use indicia::store::member::{self, NewMember};
use indicia::store::suppression::{self, Suppression};
use indicia::store::{Lane, Tx, setting};

use crate::both_dbs;
use crate::support::db::TestDb;

async fn two_members(test: &TestDb) -> (Tx, Vec<i64>, Vec<i64>) {
    let world = World::seeded(1, 1_000);
    let mut tx = test.db.begin(Lane::Bulk).await.unwrap();
    let secret = setting::addr_secret(tx.conn(), &world).await.unwrap();
    let new = ["anna@mail.example", "boris@mail.example"].map(|text| {
        let email = Email::parse(text).unwrap();
        let profile = Member {
            addr_key: secret.key(&email),
            email: email.as_str().into(),
            locale: "en".into(),
            zone: "UTC".into(),
            ..Member::default()
        };
        NewMember { profile, provider_id: 1, lot: 7 }
    });
    let ids = member::insert(tx.conn(), &new, 1_000).await.unwrap();
    let keys: Vec<i64> = new.iter().map(|member| member.profile.addr_key).collect();
    let ids = keys.iter().map(|key| ids[key]).collect();
    (tx, ids, keys)
}

async fn epochs(tx: &mut Tx, ids: &[i64]) -> Vec<i64> {
    let members = member::profiles(tx.conn(), ids).await.unwrap();
    ids.iter().map(|id| members[id].mail_epoch).collect()
}

both_dbs! {
    async fn consent_is_what_the_member_said_last(test) {
        let (mut tx, ids, _) = two_members(&test).await;
        let imported = |topic| Change { member_id: ids[0], topic, event: ConsentEvent::Imported };
        let changed = consent::record(tx.conn(), &[imported("offers"), imported("news")], "import", "a.csv", 2_000).await.unwrap();
        assert_eq!(changed.into_iter().collect::<Vec<_>>(), [ids[0]]);
        assert_eq!(consent::granted(tx.conn(), &ids, "offers").await.unwrap().into_iter().collect::<Vec<_>>(), [ids[0]]);
        assert_eq!(epochs(&mut tx, &ids).await, [1, 0]);

        assert!(consent::revoke(tx.conn(), ids[0], "offers", "link", "message 7", 3_000).await.unwrap());
        assert!(!consent::revoke(tx.conn(), ids[0], "offers", "link", "message 7", 3_500).await.unwrap());
        assert!(consent::record(tx.conn(), &[imported("offers")], "import", "a.csv", 4_000).await.unwrap().is_empty(), "a file must not undo an unsubscribe");
        assert!(consent::granted(tx.conn(), &ids, "offers").await.unwrap().is_empty());
        assert_eq!(epochs(&mut tx, &ids).await, [2, 0]);

        assert!(consent::grant(tx.conn(), ids[0], "offers", "page", "preferences", 5_000).await.unwrap());
        let standing = consent::of_member(tx.conn(), ids[0]).await.unwrap();
        assert_eq!(standing.iter().map(|s| (s.topic.as_str(), s.state, s.at_ms)).collect::<Vec<_>>(),
            [("news", ConsentState::Granted, 2_000), ("offers", ConsentState::Granted, 5_000)]);
        assert_eq!(epochs(&mut tx, &ids).await, [3, 0]);
    }
}

both_dbs! {
    async fn suppression_covers_its_scope_until_it_expires(test) {
        let (mut tx, ids, keys) = two_members(&test).await;
        let entry = |scope: &str, expires_at_ms| Suppression {
            scope: scope.into(), reason: SuppressionReason::Complaint, source: "test".into(), at_ms: 2_000, expires_at_ms,
        };
        assert!(suppression::suppress(tx.conn(), keys[0], &entry("offers", Some(9_000))).await.unwrap());
        assert!(!suppression::suppress(tx.conn(), keys[0], &entry("offers", Some(8_000))).await.unwrap(), "a shorter one must not shorten it");
        let of = suppression::suppressed(tx.conn(), &keys, Some("offers"), 8_999).await.unwrap();
        assert_eq!(of.into_iter().collect::<Vec<_>>(), [(keys[0], SuppressionReason::Complaint)]);
        assert!(suppression::suppressed(tx.conn(), &keys, Some("offers"), 9_000).await.unwrap().is_empty());
        assert!(suppression::suppressed(tx.conn(), &keys, Some("news"), 3_000).await.unwrap().is_empty());
        assert!(suppression::suppressed(tx.conn(), &keys, None, 3_000).await.unwrap().is_empty());

        assert!(suppression::suppress(tx.conn(), keys[1], &entry(SCOPE_ALL, None)).await.unwrap());
        assert!(suppression::suppressed(tx.conn(), &keys, None, i64::MAX).await.unwrap().contains_key(&keys[1]));
        assert!(suppression::suppressed(tx.conn(), &keys, Some("news"), 3_000).await.unwrap().contains_key(&keys[1]));
        assert_eq!(suppression::of_address(tx.conn(), keys[1]).await.unwrap(), [entry(SCOPE_ALL, None)]);
        assert_eq!(epochs(&mut tx, &ids).await, [1, 1]);

        assert!(suppression::lift(tx.conn(), keys[1], SCOPE_ALL).await.unwrap());
        assert!(!suppression::lift(tx.conn(), keys[1], SCOPE_ALL).await.unwrap());
        assert_eq!(epochs(&mut tx, &ids).await, [1, 2]);
    }
}
