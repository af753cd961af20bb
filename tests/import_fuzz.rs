//! Files that make no sense: whatever their bytes, an import ends with an account of every row or with one error, and
//! never with a panic.

use std::sync::Arc;

use indicia::base::World;
use indicia::domain::provider::ProviderTable;
use indicia::flow::intake::{self, Import, IntakeError, Kind};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::db;

const NOW_MS: i64 = 1_790_000_000_000;

/// Headers that are right, and pieces that rows are made of: sense, nonsense and raw bytes.
fn file() -> impl Strategy<Value = (Kind, Vec<u8>)> {
    let kinds = prop_oneof![
        Just((Kind::Members, "email,external_id,points,locale,zone,topics,extra\n")),
        Just((Kind::Products, "sku,name,price,currency,url,stock,category\n")),
        Just((Kind::Orders, "order_id,email,ordered_at,sku,quantity,price,currency\n")),
        Just((Kind::Events, "event,messageId,email,timestamp,sku\n")),
        Just((Kind::Events, "")),
        Just((Kind::Members, "")),
    ];
    let word = prop_oneof![
        4 => Just(",".as_bytes().to_vec()),
        2 => Just("\n".as_bytes().to_vec()),
        1 => Just("\"".as_bytes().to_vec()),
        1 => Just("\\N".as_bytes().to_vec()),
        2 => prop_oneof!["a@mail.example", "EUR", "1299.00", "1750000000", "S1", "https://shop.example/x", "Europe/Berlin", "en"]
            .prop_map(String::into_bytes),
        2 => prop_oneof![r#"\{"type":"track","event":"Product Viewed","messageId":"m","email":"a@mail\.example","timestamp":1,"properties":\{"sku":"S1"\}\}"#, r#"\{"email":null,"points":\[1,\{\}\]\}"#, r"\{"]
            .prop_map(String::into_bytes),
        1 => "\\PC{0,8}".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..6),
    ];
    (kinds, proptest::collection::vec(word, 0..60)).prop_map(|((kind, header), words)| {
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend(words.concat());
        (kind, bytes)
    })
}

#[test]
fn no_file_panics_and_every_row_is_accounted_for() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let test = runtime.block_on(db::sqlite());
    let (world, providers) = (World::seeded(7, NOW_MS), Arc::new(ProviderTable::built_in()));
    let path = test.folder.path().join("fuzz");
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    let ran = runner.run(
        &(file(), any::<bool>(), prop_oneof![Just(None), Just(Some("gb18030")), Just(Some("utf-16le"))]),
        |((kind, bytes), strict, encoding)| {
            std::fs::write(&path, &bytes).unwrap();
            let import =
                Import { strict, encoding: encoding.map(str::to_owned), ..Import::new(kind, &path, providers.clone()) };
            match runtime.block_on(intake::import(&test.db, &world, &import, &|_| {})) {
                Ok(s) if s.refused => {
                    prop_assert!(s.rejected > 0 && s.rejected <= s.read && s.inserted + s.updated + s.unchanged == 0)
                }
                Ok(s) => prop_assert_eq!(s.read, s.inserted + s.updated + s.unchanged + s.rejected),
                Err(error) => prop_assert!(matches!(error, IntakeError::Header(_)), "{}", error),
            }
            Ok(())
        },
    );
    ran.unwrap();
}
