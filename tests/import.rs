//! Import: files of every kind into both databases, what is taken, what is refused and why, and that the same file
//! again changes nothing.

use std::path::PathBuf;
use std::sync::Arc;

use indicia::base::World;
use indicia::domain::address::{AddressError, Email};
use indicia::domain::consent::ConsentState;
use indicia::domain::member::Member;
use indicia::domain::provider::ProviderTable;
use indicia::domain::recommend::care::Cares;
use indicia::domain::recommend::{Occasion, Pick, Request, Sitting, Strategy, Why, pick};
use indicia::flow::intake::{self, Import, IntakeError, Kind, Summary};
use indicia::store::{Lane, catalog, consent, history, member, order, product, setting};

use crate::both_dbs;
use crate::support::daemon::Home;
use crate::support::db::TestDb;

const NOW_MS: i64 = 1_790_000_000_000;

fn file(test: &TestDb, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = test.folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn plan(kind: Kind, path: PathBuf) -> Import {
    Import::new(kind, path, Arc::new(ProviderTable::built_in()))
}

async fn run(test: &TestDb, import: &Import) -> Result<Summary, IntakeError> {
    intake::import(&test.db, &World::seeded(7, NOW_MS), import, &|_| {}).await
}

async fn import(test: &TestDb, kind: Kind, name: &str, bytes: impl AsRef<[u8]>) -> Summary {
    run(test, &plan(kind, file(test, name, bytes))).await.unwrap()
}

/// read, inserted, updated, unchanged, rejected.
fn counts(summary: &Summary) -> [u64; 5] {
    assert_eq!(summary.read, summary.inserted + summary.updated + summary.unchanged + summary.rejected);
    [summary.read, summary.inserted, summary.updated, summary.unchanged, summary.rejected]
}

/// The rejected rows as (line, field, reason, row).
fn rejected(summary: &Summary) -> Vec<(u64, String, String, String)> {
    let path = summary.rejected_file.as_ref().expect("a file of rejected rows");
    csv::Reader::from_path(path).unwrap().deserialize().map(Result::unwrap).collect()
}

async fn find(test: &TestDb, email: &str) -> Option<Member> {
    let mut tx = test.db.begin(Lane::Bulk).await.unwrap();
    let secret = setting::addr_secret(tx.conn(), &World::seeded(7, NOW_MS)).await.unwrap();
    tx.commit().await.unwrap();
    let mut reader = test.db.reader().await.unwrap();
    member::by_email(reader.conn(), &secret, &Email::parse(email).unwrap()).await.unwrap()
}

/// Counts rows; `sql` is a test's own, never a user's.
async fn count(test: &TestDb, sql: &'static str) -> i64 {
    let mut reader = test.db.reader().await.unwrap();
    match reader.conn() {
        indicia::store::Conn::Sqlite(c) => sqlx::query_scalar(sql).fetch_one(c).await.unwrap(),
        indicia::store::Conn::Postgres(c) => sqlx::query_scalar(sql).fetch_one(c).await.unwrap(),
    }
}

const MEMBERS: &str = "\
email,external_id,first_name,last_name,locale,zone,market,topics,points,Favourite room,pets
anna@mail.example,c-1,Anna,Kern,en,Europe/Berlin,eu,offers;news,1200,Kitchen,2
li@post.example,c-2,丽,李,zh_cn,Asia/Shanghai,CN,offers,50,,
\"o'neil@mail.example\",,\"Pat, \"\"the cook\"\"\",,,,,,,,none
";

both_dbs! {
    async fn members_come_in_whole_and_the_same_file_again_changes_nothing(test) {
        assert_eq!(counts(&import(&test, Kind::Members, "m.csv", MEMBERS).await), [3, 3, 0, 0, 0]);
        let anna = find(&test, "ANNA@mail.example").await.unwrap();
        assert_eq!((anna.external_id.as_deref(), anna.points, anna.zone.as_str()), (Some("c-1"), 1200, "Europe/Berlin"));
        assert_eq!(anna.attributes.iter().map(|(k, v)| (&**k, &**v)).collect::<Vec<_>>(), [("favourite_room", "Kitchen"), ("pets", "2")]);
        let li = find(&test, "li@post.example").await.unwrap();
        assert_eq!((li.locale.as_str(), li.market.as_str(), li.last_name.as_deref()), ("zh-CN", "cn", Some("李")));
        let pat = find(&test, "o'neil@mail.example").await.unwrap();
        assert_eq!((pat.first_name.as_deref(), pat.locale.as_str(), pat.zone.as_str()), (Some("Pat, \"the cook\""), "en", "UTC"));
        let mut reader = test.db.reader().await.unwrap();
        let topics = consent::of_member(reader.conn(), anna.id).await.unwrap();
        assert_eq!(topics.iter().map(|s| (&*s.topic, s.state)).collect::<Vec<_>>(), [("news", ConsentState::Granted), ("offers", ConsentState::Granted)]);
        assert_eq!(count(&test, "select count(*) from member_attribute where number = 2").await, 1);
        assert_eq!(count(&test, "select count(*) from provider").await, 1);

        assert_eq!(counts(&import(&test, Kind::Members, "m.csv", MEMBERS).await), [3, 0, 0, 3, 0]);
        assert_eq!(find(&test, "anna@mail.example").await.unwrap(), anna);
        assert_eq!(count(&test, "select count(*) from consent_log").await, 3);
    }
}

both_dbs! {
    async fn an_empty_cell_leaves_and_a_mark_clears(test) {
        import(&test, Kind::Members, "m.csv", MEMBERS).await;
        let text = "email,first_name,last_name,points,pets,favourite_room,topics\nanna@mail.example,,\\N,\\N,\\N,,\\N\n";
        assert_eq!(counts(&import(&test, Kind::Members, "c.csv", text).await), [1, 0, 1, 0, 0]);
        let anna = find(&test, "anna@mail.example").await.unwrap();
        assert_eq!((anna.first_name.as_deref(), anna.last_name, anna.points), (Some("Anna"), None, 0));
        assert_eq!(anna.attributes.keys().collect::<Vec<_>>(), ["favourite_room"]);
        assert_eq!(count(&test, "select count(*) from consent where state = 'revoked'").await, 2);
        assert_eq!(counts(&import(&test, Kind::Members, "m.csv", "email,topics\nanna@mail.example,offers\n").await), [1, 0, 0, 1, 0], "what was revoked stays revoked");

        let json = "{\"email\":\"anna@mail.example\",\"first_name\":null,\"points\":7,\"pets\":3,\"topics\":[\"care\"]}\n";
        assert_eq!(counts(&import(&test, Kind::Members, "m.jsonl", json).await), [1, 0, 1, 0, 0]);
        let anna = find(&test, "anna@mail.example").await.unwrap();
        assert_eq!((anna.first_name, anna.points, anna.attributes["pets"].as_str()), (None, 7, "3"));
        assert_eq!(counts(&import(&test, Kind::Members, "m.jsonl", json).await), [1, 0, 0, 1, 0]);
    }
}

both_dbs! {
    async fn a_member_is_matched_by_external_id_else_by_address_and_a_conflict_is_refused(test) {
        import(&test, Kind::Members, "m.csv", MEMBERS).await;
        let before = find(&test, "anna@mail.example").await.unwrap();
        let text = "\
email,external_id,points
anna.kern@mail.example,c-1,1
li@post.example,c-1,2
li@post.example,c-9,3
o'neil@mail.example,c-3,4
,c-2,5
,c-404,6
new@mail.example,c-5,7
new@mail.example,c-5,7
new@mail.example,c-6,8
";
        let summary = import(&test, Kind::Members, "x.csv", text).await;
        assert_eq!(counts(&summary), [9, 1, 3, 1, 4]);
        let refused: Vec<(u64, String)> = rejected(&summary).into_iter().map(|(line, field, ..)| (line, field)).collect();
        assert_eq!(refused, [(3, "email".into()), (4, "external_id".into()), (7, "external_id".into()), (10, "external_id".into())]);
        let moved = find(&test, "anna.kern@mail.example").await.unwrap();
        assert_eq!((moved.id, moved.points), (before.id, 1));
        assert!(moved.mail_epoch > before.mail_epoch, "what was claimed for the old address must not be armed");
        assert!(find(&test, "anna@mail.example").await.is_none());
        assert_eq!(find(&test, "li@post.example").await.unwrap().points, 5);
        assert_eq!(find(&test, "o'neil@mail.example").await.unwrap().external_id.as_deref(), Some("c-3"));
    }
}

both_dbs! {
    async fn broken_rows_are_named_and_the_others_come_in(test) {
        let mut bytes = b"email,first_name,locale,zone,points,topics\n".to_vec();
        bytes.extend_from_slice(b"a@mail.example,Ann,en,UTC,1,\n");
        bytes.extend_from_slice(b"b@mail.example,\"Bob,en,UTC,1,\n");
        bytes.extend_from_slice(b"c@mail.example,Cay,en,UTC\n");
        bytes.extend_from_slice(b"d@mail.example,D\xff,en,UTC,1,\n");
        bytes.extend_from_slice(b"nobody,E,en,UTC,1,\n");
        bytes.extend_from_slice(b"f@mail.example,F,english,UTC,1,\n");
        bytes.extend_from_slice(b"g@mail.example,G,en,Moscow,1,\n");
        bytes.extend_from_slice(b"h@mail.example,H,en,UTC,many,\n");
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(b"i@mail.example,I,en,UTC,1,all\n");
        bytes.extend_from_slice(b"z@mail.example,\"Zoe\nAnn\",en,UTC,1,");
        let summary = import(&test, Kind::Members, "m.csv", &bytes).await;
        assert_eq!(counts(&summary), [10, 2, 0, 0, 8]);
        let rejected = rejected(&summary);
        let at: Vec<(u64, &str)> = rejected.iter().map(|(line, field, ..)| (*line, &**field)).collect();
        assert_eq!(at, [(3, ""), (4, ""), (5, ""), (6, "email"), (7, "locale"), (8, "zone"), (9, "points"), (11, "topics")]);
        assert!(rejected[0].2.contains("quote"), "{:?}", rejected[0]);
        assert_eq!(rejected[0].3, "b@mail.example,\"Bob,en,UTC,1,");
        assert!(rejected[2].2.contains("--encoding"), "{:?}", rejected[2]);
        assert_eq!(rejected[3].2, "has no @");
        assert_eq!(find(&test, "z@mail.example").await.unwrap().first_name.as_deref(), Some("Zoe Ann"));
        let clean = import(&test, Kind::Members, "m.csv", "email\na@mail.example\n").await;
        assert_eq!(clean.rejected_file, None);
        assert!(!test.folder.path().join("m.csv.rejected.csv").exists(), "an old list of rejected rows must not stay");
    }
}

both_dbs! {
    async fn strict_takes_all_or_nothing(test) {
        let bad = "email,external_id\na@mail.example,1\nb@mail.example,2\na@mail.example,3\n";
        let strict = |text: &str| Import { strict: true, ..plan(Kind::Members, file(&test, "s.csv", text)) };
        let summary = run(&test, &strict(bad)).await.unwrap();
        assert!(summary.refused);
        assert_eq!((summary.read, summary.inserted, summary.rejected), (3, 0, 1));
        assert_eq!(count(&test, "select count(*) from member").await, 0);
        let summary = run(&test, &strict("email,external_id,room\na@mail.example,1,Kitchen\nb@mail.example,2,Hall\n")).await.unwrap();
        assert!(!summary.refused);
        assert_eq!(counts(&summary), [2, 2, 0, 0, 0]);
        assert_eq!(find(&test, "b@mail.example").await.unwrap().attributes["room"], "Hall");
    }
}

both_dbs! {
    async fn encodings_marks_separators_and_names_of_others_are_read(test) {
        let with_mark = "\u{feff}E-Mail;Vorname;Stadt\r\nanna@mail.example;Anna;Köln\r\n";
        let german = |name: &str| Import {
            renames: vec![("e-mail".into(), "email".into()), ("Vorname".into(), "first_name".into())],
            ..plan(Kind::Members, file(&test, name, with_mark))
        };
        assert_eq!(counts(&run(&test, &german("de.csv")).await.unwrap()), [1, 1, 0, 0, 0]);
        let anna = find(&test, "anna@mail.example").await.unwrap();
        assert_eq!((anna.first_name.as_deref(), anna.attributes["stadt"].as_str()), (Some("Anna"), "Köln"));

        for (label, email, name) in [("windows-1251", "ivan@mail.example", "Иван"), ("gb18030", "wei@mail.example", "伟𠮷"), ("utf-16le", "u@mail.example", "Ünal 伟")] {
            let text = format!("email,first_name\n{email},{name}\n");
            let bytes = match label {
                "utf-16le" => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
                _ => encoding_rs::Encoding::for_label(label.as_bytes()).unwrap().encode(&text).0.into_owned(),
            };
            let import = Import { encoding: Some(label.into()), ..plan(Kind::Members, file(&test, "e.csv", bytes)) };
            assert_eq!(counts(&run(&test, &import).await.unwrap()), [1, 1, 0, 0, 0], "{label}");
            assert_eq!(find(&test, email).await.unwrap().first_name.as_deref(), Some(name));
        }
        let wrong = Import { encoding: Some("klingon".into()), ..plan(Kind::Members, file(&test, "e.csv", "email\na@mail.example\n")) };
        assert!(matches!(run(&test, &wrong).await, Err(IntakeError::Encoding { label }) if label == "klingon"));
    }
}

both_dbs! {
    async fn a_file_whose_columns_make_no_sense_is_refused_whole(test) {
        for (kind, text, said) in [
            (Kind::Members, "name,mail\na,b\n", "no column email or external_id"),
            (Kind::Members, "email,Email\na@mail.example,b@mail.example\n", "two columns email"),
            (Kind::Members, "", "empty"),
            (Kind::Products, "sku,name,colour\na,b,c\n", "\"colour\" is unknown"),
            (Kind::Orders, "order_id,email\n1,a@mail.example\n", "no column ordered_at"),
        ] {
            let error = run(&test, &plan(kind, file(&test, "x.csv", text))).await.unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
        assert_eq!(count(&test, "select count(*) from member").await, 0);
        let renamed = Import { renames: vec![("Mail".into(), "email".into())], ..plan(Kind::Members, file(&test, "x.csv", "email\na@mail.example\n")) };
        assert!(run(&test, &renamed).await.unwrap_err().to_string().contains("--map"));
    }
}

both_dbs! {
    async fn a_tag_is_given_to_everyone_in_the_file_once(test) {
        import(&test, Kind::Members, "m.csv", MEMBERS).await;
        let tagged = Import { tag: Some("vip".into()), ..plan(Kind::Members, file(&test, "v.csv", "email\nanna@mail.example\nx@mail.example\n")) };
        assert_eq!(counts(&run(&test, &tagged).await.unwrap()), [2, 1, 0, 1, 0]);
        assert_eq!(counts(&run(&test, &tagged).await.unwrap()), [2, 0, 0, 2, 0]);
        assert_eq!(count(&test, "select count(*) from member_tag where lscore = 0").await, 2);
    }
}

const PRODUCTS: &str = "\
sku,name,category,brand,price,currency,url,image_url,stock,market
F1,Frost 420,Kitchen > Refrigerator,Nordhaus,1299.00,EUR,https://shop.example/f1,https://shop.example/f1.png,5,eu
F1,Frost 420,Kitchen > Refrigerator,Nordhaus,9999,CNY,https://shop.example/f1,https://shop.example/f1.png,,cn
W1,Wave 8,laundry/washer,Nordhaus,54900,JPY,https://shop.example/w1,,0,
";

both_dbs! {
    async fn products_keep_a_price_and_a_stock_in_each_market(test) {
        assert_eq!(counts(&import(&test, Kind::Products, "p.csv", PRODUCTS).await), [3, 3, 0, 0, 0]);
        assert_eq!(counts(&import(&test, Kind::Products, "p.csv", PRODUCTS).await), [3, 0, 0, 3, 0]);
        let text = "\
sku,name,price,currency,url,stock,market
F1,,1199.5,EUR,,\\N,eu
W1,,0.5,JPY,,,
X1,New,10,EUR,javascript:alert(1),,
X2,New,10,,https://shop.example/x2,,
X3,,10,EUR,https://shop.example/x3,,
X4,New,,,https://shop.example/x4,,
";
        let summary = import(&test, Kind::Products, "q.csv", text).await;
        assert_eq!(counts(&summary), [6, 0, 1, 0, 5]);
        let fields: Vec<String> = rejected(&summary).into_iter().map(|(_, field, ..)| field).collect();
        assert_eq!(fields, ["price", "url", "currency", "name", "price"]);
        let mut reader = test.db.reader().await.unwrap();
        let (products, mut offers) = product::with_offers(reader.conn(), &["F1"]).await.unwrap();
        offers.sort_by(|a, b| a.market.cmp(&b.market));
        assert_eq!((products[0].category.as_str(), products[0].name.as_str()), ("kitchen/refrigerator", "Frost 420"));
        assert_eq!(offers.iter().map(|o| (&*o.market, o.price_minor, &*o.currency, o.stock)).collect::<Vec<_>>(),
            [("cn", 999_900, "CNY", None), ("eu", 119_950, "EUR", None)]);
    }
}

const ORDERS: &str = "\
order_id,email,ordered_at,sku,quantity,price,currency,status,coupon
1001,anna@mail.example,2025-05-01T10:00:00+02:00,F1,1,1299.00,EUR,completed,MAY
1001,anna@mail.example,2025-05-01T10:00:00+02:00,W1,2,500,EUR,completed,MAY
1002,anna@mail.example,1750000000,F1,1,9000.00,CNY,,
1003,li@post.example,1750000000,F1,1,9000.00,CNY,pending,
1004,li@post.example,1750000000,NOPE,1,1.00,CNY,,
1005,ghost@mail.example,1750000000,F1,1,1.00,CNY,,
1006,li@post.example,1750000000,W1,1,1.00,CNY,,
1006,li@post.example,1750000000,W1,1,1.00,CNY,,
1006,li@post.example,1750000000,F1,0,1.00,CNY,,
";

both_dbs! {
    async fn what_belongs_together_comes_in_and_is_picked_by(test) {
        let products = "sku,name,category,url,price,currency,stock,suite,successor,pinned\n\
            K1,Old kettle,kitchen/kettle,https://shop.example/k1,10.00,EUR,0,Dawn,K2,0\n\
            K2,New kettle,kitchen/kettle,https://shop.example/k2,12.00,EUR,5,,,\n\
            T1,Toaster,kitchen/toaster,https://shop.example/t1,20.00,EUR,5,Dawn,,2\n\
            L1,Lamp,room/lamp,https://shop.example/l1,30.00,EUR,5,,,1\n\
            X1,Wrong,room/lamp,https://shop.example/x1,30.00,EUR,5,,,second\n";
        let taken = import(&test, Kind::Products, "products.csv", products).await;
        assert_eq!(counts(&taken), [5, 4, 0, 0, 1]);
        assert_eq!((rejected(&taken)[0].0, rejected(&taken)[0].1.as_str()), (6, "pinned"));
        assert_eq!(counts(&import(&test, Kind::Products, "again.csv", products).await), [5, 0, 0, 4, 1]);
        import(&test, Kind::Members, "members.csv", "email,topics\nanna@mail.example,offers\n").await;
        import(&test, Kind::Orders, "orders.csv", "order_id,email,ordered_at,sku,quantity,price,currency,status\n\
            o1,anna@mail.example,2025-01-05T10:00:00Z,K1,1,10.00,EUR,completed\n").await;

        let anna = find(&test, "anna@mail.example").await.unwrap();
        let mut reader = test.db.reader().await.unwrap();
        let catalog = catalog::load(reader.conn(), &Cares::default(), NOW_MS).await.unwrap();
        let known = history::load(&test.db, &[anna.id], NOW_MS).await.unwrap();
        let mail = Occasion { run: 1, message: 1, now_ms: NOW_MS };
        let first = |strategy: Strategy| {
            let request = Request { strategy, n: 2, ..Request::default() };
            let picks = pick(&catalog, &anna, &known[&anna.id], &request, &mut Sitting::default(), mail);
            let sku = |pick: &Pick| (catalog.get(pick.product).unwrap().sku.clone(), pick.reason.why);
            picks.iter().map(sku).collect::<Vec<_>>()
        };
        assert_eq!(first(Strategy::Suite)[0], ("T1".to_owned(), Why::Suite));
        assert_eq!(first(Strategy::Successor)[0], ("K2".to_owned(), Why::Successor));
        assert_eq!(first(Strategy::Pinned), [("L1".to_owned(), Why::Pinned), ("T1".to_owned(), Why::Pinned)]);

        // What a later file says of them counts; an empty cell leaves, a mark clears.
        let later = "sku,suite,successor,pinned\nT1,\\N,,0\nK1,,\\N,\n";
        assert_eq!(counts(&import(&test, Kind::Products, "later.csv", later).await), [2, 0, 2, 0, 0]);
        let told = "select count(*) from product where (sku = 'T1' and suite = '' and pinned = 0)
                    or (sku = 'K1' and suite = 'Dawn' and successor = '')";
        assert_eq!(count(&test, told).await, 2);
    }
}

both_dbs! {
    async fn a_file_can_carry_a_no_to_personal_picks_and_never_overrule_one(test) {
        let rows = "email,personalise\nanna@mail.example,no\nboris@mail.example,yes\nclara@mail.example,\ndora@mail.example,maybe\n";
        let taken = import(&test, Kind::Members, "members.csv", rows).await;
        assert_eq!(counts(&taken), [4, 3, 0, 0, 1]);
        assert_eq!(rejected(&taken)[0].1, "personalise");
        let wish = async |email: &str| find(&test, email).await.unwrap().wishes.personalise;
        assert_eq!((wish("anna@mail.example").await, wish("boris@mail.example").await), (false, true));
        let later = "email,personalise,points\nanna@mail.example,yes,5\nboris@mail.example,0,5\nclara@mail.example,\\N,5\n";
        assert_eq!(counts(&import(&test, Kind::Members, "later.csv", later).await), [3, 0, 3, 0, 0]);
        assert_eq!((wish("anna@mail.example").await, wish("boris@mail.example").await), (false, false));
        assert!(wish("clara@mail.example").await);
        assert_eq!(count(&test, "select count(*) from attribute").await, 0, "it is no attribute");
    }
}

both_dbs! {
    async fn orders_add_up_and_count_as_bought(test) {
        import(&test, Kind::Members, "m.csv", MEMBERS).await;
        import(&test, Kind::Products, "p.csv", PRODUCTS).await;
        let summary = import(&test, Kind::Orders, "o.csv", ORDERS).await;
        assert_eq!(counts(&summary), [9, 5, 0, 0, 4]);
        let refused: Vec<(u64, String)> = rejected(&summary).into_iter().map(|(line, field, ..)| (line, field)).collect();
        assert_eq!(refused, [(6, "sku".into()), (7, "email".into()), (9, "sku".into()), (10, "quantity".into())]);
        let anna = find(&test, "anna@mail.example").await.unwrap();
        assert_eq!((anna.orders, anna.revenue_minor, anna.last_order_at_ms), (2, 900_000, Some(1_750_000_000_000)), "revenue is in the latest order's currency");
        assert_eq!(find(&test, "li@post.example").await.unwrap().orders, 1, "a pending order is none yet");
        assert_eq!(count(&test, "select revenue_minor from orders where order_id = '1001'").await, 229_900);
        assert_eq!(count(&test, "select count(*) from event where product_id is not null").await, 4);
        assert_eq!(count(&test, "select count(*) from outbox").await, 4);

        assert_eq!(counts(&import(&test, Kind::Orders, "o.csv", ORDERS).await), [9, 0, 0, 5, 4]);
        assert_eq!(count(&test, "select count(*) from outbox").await, 4);

        let changed = "order_id,email,ordered_at,sku,quantity,price,currency,status\n1003,li@post.example,1750000000,F1,1,9000,CNY,completed\n1002,anna@mail.example,1750000000,F1,1,9000,CNY,refunded\n";
        assert_eq!(counts(&import(&test, Kind::Orders, "o.csv", changed).await), [2, 0, 2, 0, 0]);
        let anna = find(&test, "anna@mail.example").await.unwrap();
        assert_eq!((anna.orders, anna.revenue_minor), (1, 229_900));
        assert_eq!(find(&test, "li@post.example").await.unwrap().revenue_minor, 900_100);
        assert_eq!(count(&test, "select count(*) from event").await, 4, "one came, one was taken back");
        let mut reader = test.db.reader().await.unwrap();
        let (orders, lines) = order::with_lines(reader.conn(), &["1001"]).await.unwrap();
        assert_eq!((orders[0].coupon.as_deref(), lines.len()), (Some("MAY"), 2));
    }
}

const EVENTS: &str = r#"{"type":"track","event":"product viewed","messageId":"e1","email":"anna@mail.example","timestamp":"2025-05-01T10:00:00Z","properties":{"sku":"F1","price":1299.5,"currency":"EUR"}}
{"type":"track","event":"Product Viewed","messageId":"e1","email":"anna@mail.example","timestamp":"2025-05-01T10:00:00Z","properties":{"sku":"F1"}}
{"type":"track","event":"Kettle Descaled","messageId":"e2","userId":"c-2","timestamp":1746093600000}
{"type":"track","event":"Cart Viewed","messageId":"e3","userId":"c-2","timestamp":1746093600,"properties":{"currency":"EUR","products":[{"sku":"F1","price":10,"quantity":2},{"sku":"W1","price":"5.00"}]}}
{"type":"track","event":"Product Viewed","userId":"c-2","timestamp":1746093600,"properties":{"sku":"F1"}}
{"type":"identify","messageId":"e4","userId":"c-2","timestamp":1746093600}
{"type":"track","event":"Product Viewed","messageId":"e5","userId":"c-404","timestamp":1746093600,"properties":{"sku":"F1"}}
{"type":"track","event":"Product Viewed","messageId":"e6","userId":"c-2","timestamp":1746093600,"properties":{"sku":"F404"}}
{"type":"track","event":"Product Viewed","messageId":"e7","userId":"c-2","timestamp":"soon","properties":{"sku":"F1"}}
{"type":"track",
"#;

both_dbs! {
    async fn events_are_kept_once_and_handed_to_learning(test) {
        import(&test, Kind::Members, "m.csv", MEMBERS).await;
        import(&test, Kind::Products, "p.csv", PRODUCTS).await;
        let summary = import(&test, Kind::Events, "e.jsonl", EVENTS).await;
        assert_eq!(counts(&summary), [10, 3, 0, 1, 6]);
        let rejected = rejected(&summary);
        let at: Vec<(u64, &str)> = rejected.iter().map(|(line, field, ..)| (*line, &**field)).collect();
        assert_eq!(at, [(5, "messageId"), (6, "type"), (7, "email"), (8, "properties.sku"), (9, "timestamp"), (10, "")]);
        assert_eq!(count(&test, "select count(*) from event").await, 4);
        assert_eq!(count(&test, "select count(*) from outbox o join event e on e.id = o.ref_id where o.source = 'event'").await, 4);
        assert_eq!(count(&test, "select cast(sum(value_minor) as bigint) from event").await, 129_950 + 2000 + 500);
        assert_eq!(count(&test, "select count(*) from event e join event_name n on n.id = e.name_id where n.name = 'Product Viewed'").await, 1);
        assert_eq!(counts(&import(&test, Kind::Events, "e.jsonl", EVENTS).await), [10, 0, 0, 4, 6]);
        assert_eq!(count(&test, "select count(*) from outbox").await, 4);

        let table = "messageId,event,userId,timestamp,sku,colour\nt1,Product Added,c-1,1746093600,W1,white\n";
        assert_eq!(counts(&import(&test, Kind::Events, "e.csv", table).await), [1, 1, 0, 0, 0]);
        assert_eq!(count(&test, r#"select count(*) from event where props = '{"colour":"white","sku":"W1"}'"#).await, 1);
    }
}

both_dbs! {
    async fn many_rows_go_in_batches_and_every_one_arrives(test) {
        let mut text = String::from("email,external_id,topics,size\n");
        for n in 0..3000 {
            text.push_str(&format!("m{n}@d{}.example,x{n},offers,{}\n", n % 7, n % 50));
        }
        assert_eq!(counts(&import(&test, Kind::Members, "m.csv", &text).await), [3000, 3000, 0, 0, 0]);
        assert_eq!(count(&test, "select count(distinct lot) from member").await, 3000);
        assert_eq!(count(&test, "select count(*) from consent where state = 'granted'").await, 3000);
        assert_eq!(counts(&import(&test, Kind::Members, "m.csv", &text).await), [3000, 0, 0, 3000, 0]);
        assert_eq!(counts(&import(&test, Kind::Members, "m.csv", text.replace(",offers,", ",news,")).await), [3000, 0, 3000, 0, 0]);
    }
}

/// The address corpus of Dominic Sayers' is_email: nothing panics, what it calls plainly valid is taken unless it is of
/// a kind we refuse by design, and what it calls an error is never taken.
#[test]
fn the_corpus_of_addresses_parses_as_we_say() {
    let data = std::env::var_os("INDICIA_TEST_DATA").map_or_else(|| PathBuf::from("../shared/data"), PathBuf::from);
    let path = data.join("addresses/isemail-tests.xml");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!(
            "\n*** {} is missing (set INDICIA_TEST_DATA): the corpus of addresses was NOT run ***\n",
            path.display()
        );
        return;
    };
    let field = |test: &str, name: &str| {
        let (_, rest) = test.split_once(&format!("<{name}>"))?;
        let (value, _) = rest.split_once(&format!("</{name}>"))?;
        Some(value.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&"))
    };
    let (mut taken, mut by_design) = (0, 0);
    for test in text.split("<test ").skip(1) {
        let Some(address) = field(test, "address") else { continue };
        let category = field(test, "category").unwrap();
        let diagnosis = field(test, "diagnosis").unwrap();
        let parsed = Email::parse(&address);
        match (category.as_str(), &parsed) {
            // DNS is not asked here, so an address whose domain has no mail server is as good as any.
            ("ISEMAIL_VALID_CATEGORY" | "ISEMAIL_DNSWARN", Ok(_)) => taken += 1,
            ("ISEMAIL_VALID_CATEGORY" | "ISEMAIL_DNSWARN", Err(error)) => {
                let design = matches!(error, AddressError::Domain(_) | AddressError::LocalPart(_));
                assert!(design, "{address:?} ({diagnosis}) was refused: {error}");
                by_design += 1;
            }
            // White space around an address is trimmed, and so is the dot of the DNS root, as people write them.
            ("ISEMAIL_ERR", Ok(email)) => {
                assert_eq!(address.trim().trim_end_matches('.'), email.as_str(), "{diagnosis}")
            }
            _ => {}
        }
    }
    assert!(taken >= 20, "only {taken} plain addresses were taken");
    assert!(by_design <= taken, "{by_design} plain addresses were refused, {taken} taken");
}

#[test]
fn the_command_counts_names_and_exits_as_scripts_expect() {
    let home = Home::new("");
    home.write("m.csv", "Mail,first_name\na@mail.example,Ann\nnobody,Bo\n");
    let imported = home.json(&["import", "members", "m.csv", "--map", "Mail=email", "--tag", "autumn"]);
    let expected = serde_json::json!({"read": 2, "inserted": 1, "updated": 0, "unchanged": 0, "rejected": 1});
    assert_eq!(imported, expected);
    let list = std::fs::read_to_string(home.path().join("m.csv.rejected.csv")).unwrap();
    assert_eq!(list, "line,field,reason,row\n3,email,has no @,\"nobody,Bo\"\n");

    let ran = home.run(&["import", "members", "m.csv", "--map", "Mail=email"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stdout.contains("1 unchanged, 1 rejected"), "{}", ran.stdout);
    assert!(ran.stderr.contains("m.csv.rejected.csv"), "{}", ran.stderr);
    let ran = home.run(&["import", "members", "m.csv", "--map", "Mail=email", "--strict", "--json"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("nothing was imported"), "{}", ran.stderr);
    for (arguments, code, said) in [
        (["import", "members", "m.csv"].as_slice(), 1, "--map"),
        (&["import", "members", "none.csv"], 1, "none.csv"),
        (&["import", "people", "m.csv"], 2, "members"),
        (&["import", "members", "m.csv", "--map", "Mail"], 2, "THEIRS=OURS"),
        (&["import", "products", "m.csv", "--tag", "x", "--map", "Mail=sku"], 1, "--tag"),
        (&["import", "members", "m.csv", "--encoding", "klingon"], 1, "WHATWG"),
    ] {
        let ran = home.run(arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
    }
}
