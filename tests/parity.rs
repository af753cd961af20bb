//! The two migration folders make the same house: same files, tables, columns, keys, checks and indexes, read from the
//! catalogs of a real SQLite and a real PostgreSQL.

use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, SqliteConnection};

use crate::support::db;

/// Tables that PostgreSQL cuts into partitions: their primary keys begin with what they are cut by.
const PARTITIONED: [(&str, &str); 3] = [("event", "at_ms,id"), ("touch", "at_ms,id"), ("message", "run_id,id")];

#[test]
fn both_folders_hold_the_same_files() {
    let files = |dialect: &str| -> BTreeSet<String> {
        let folder = format!("{}/migrations/{dialect}", env!("CARGO_MANIFEST_DIR"));
        let entries = std::fs::read_dir(folder).expect("read a folder of migrations").flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(files("sqlite"), files("postgres"));
    assert!(!files("sqlite").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_databases_hold_the_same_tables() {
    let Some(postgres) = db::postgres().await else { return };
    let sqlite = db::sqlite().await;
    let mut pg = PgConnection::connect(&postgres.url).await.expect("connect to PostgreSQL");
    let mut lite = SqliteConnection::connect(&sqlite.url).await.expect("connect to SQLite");
    let ours = sqlite_facts(&mut lite, &mut pg).await;
    let theirs = postgres_facts(&mut pg).await;
    let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<Vec<_>>().join("\n  ");
    assert!(ours.len() > 150, "the catalogs were not read: {} facts", ours.len());
    assert!(
        ours == theirs,
        "\nonly on SQLite:\n  {}\nonly on PostgreSQL:\n  {}\n",
        only(&ours, &theirs),
        only(&theirs, &ours)
    );
}

/// A list of words in a check is made anew, as a table, for every row that is written (migration 0014).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_checks_what_is_written_most_without_a_table() {
    let sqlite = db::sqlite().await;
    let mut lite = SqliteConnection::connect(&sqlite.url).await.expect("connect to SQLite");
    for statement in [
        "update message set state = 'sent' where id = 1",
        "insert into touch (at_ms, run_id, message_id, kind, class, method, agent, ip) values (1, 1, 1, '', '', '', '', '')",
        "update member set status = 'live' where id = 1",
        "update consent set state = 'granted' where member_id = 1 and topic = ''",
        "insert into consent_log (member_id, topic, state, at_ms, source, proof) values (1, '', '', 1, '', '')",
        "update orders set status = 'pending' where id = 1",
    ] {
        let steps = sqlx::query(AssertSqlSafe(format!("explain {statement}"))).fetch_all(&mut lite).await.unwrap();
        assert!(steps.len() > 10, "{statement} was not explained");
        let tables = steps.iter().filter(|step| step.get::<String, _>("opcode") == "OpenEphemeral").count();
        assert_eq!(tables, 0, "{statement} makes a table");
    }
}

/// Everything about SQLite's tables, one fact a line. Checks are put into PostgreSQL's spelling by PostgreSQL.
async fn sqlite_facts(lite: &mut SqliteConnection, pg: &mut PgConnection) -> BTreeSet<String> {
    const TABLES: &str = "select name, sql from sqlite_master where type = 'table' and name not like 'sqlite%'
                          and name <> '_sqlx_migrations'";
    const COLUMNS: &str = "select name, type, \"notnull\", dflt_value, pk, cid from pragma_table_info($1) order by cid";
    let mut facts = BTreeSet::new();
    for (table, ddl) in sqlx::query_as::<_, (String, String)>(TABLES).fetch_all(&mut *lite).await.unwrap() {
        let mut key: Vec<(i64, String)> = Vec::new();
        for row in sqlx::query(COLUMNS).bind(&table).fetch_all(&mut *lite).await.unwrap() {
            let (name, kind, pk): (String, String, i64) = (row.get("name"), row.get("type"), row.get("pk"));
            let kind = kind
                .to_lowercase()
                .replace("integer", "bigint")
                .replace("real", "double precision")
                .replace("blob", "bytea");
            let not_null = row.get::<i64, _>("notnull") == 1 || pk > 0;
            let default = row.get::<Option<String>, _>("dflt_value").unwrap_or_default();
            let numbered = pk > 0 && ddl.contains(&format!("{name} integer primary key autoincrement"));
            let at: i64 = row.get("cid");
            facts.insert(column(&table, at + 1, &name, &kind, not_null, &default, numbered));
            if pk > 0 {
                key.push((pk, name));
            }
        }
        key.sort();
        let mut key = key.into_iter().map(|(_, name)| name).collect::<Vec<_>>().join(",");
        if let Some((_, cut)) = PARTITIONED.iter().find(|(name, _)| *name == table) {
            assert_eq!(key, "id", "{table} is listed as an exception");
            key = (*cut).to_owned();
        }
        facts.insert(format!("{table}: primary key ({key})"));
        for check in spelled_by_postgres(pg, &table, &checks_of(&ddl)).await {
            facts.insert(format!("{table}: {check}"));
        }
        facts.extend(sqlite_indexes(lite, &table).await);
    }
    facts
}

async fn sqlite_indexes(lite: &mut SqliteConnection, table: &str) -> Vec<String> {
    const LIST: &str = "select l.name, l.\"unique\", l.origin,
        (select group_concat(name, ',') from (select name from pragma_index_info(l.name) order by seqno)) as columns,
        (select sql from sqlite_master where name = l.name) as ddl
        from pragma_index_list($1) l where l.origin <> 'pk'";
    let rows = sqlx::query(LIST).bind(table).fetch_all(lite).await.unwrap();
    let facts = rows.iter().map(|row| {
        let ddl = row.get::<Option<String>, _>("ddl").unwrap_or_default();
        let when = ddl.split_once(" where ").map_or("", |(_, when)| when);
        let name: String = if row.get::<String, _>("origin") == "c" { row.get("name") } else { String::new() };
        index(table, &name, row.get::<i64, _>("unique") == 1, row.get("columns"), when)
    });
    facts.collect()
}

/// The texts in `check (…)` of a `create table`.
fn checks_of(ddl: &str) -> Vec<String> {
    let mut checks = Vec::new();
    for (at, word) in ddl.match_indices("check (") {
        let rest = &ddl[at + word.len()..];
        let mut depth = 1;
        let end = rest.char_indices().find(|(_, c)| {
            depth += i32::from(*c == '(') - i32::from(*c == ')');
            depth == 0
        });
        checks.push(as_list(&rest[..end.expect("balanced parentheses").0]));
    }
    checks
}

/// `x = 'a' or x = 'b' or …` as `x in ('a', 'b', …)`: SQLite checks the former faster, and it says the same.
fn as_list(check: &str) -> String {
    let words: Option<Vec<(&str, &str)>> = check.split(" or ").map(|word| word.trim().split_once(" = ")).collect();
    match words.as_deref() {
        Some([(name, first), rest @ ..]) if rest.len() > 1 && rest.iter().all(|(other, _)| other == name) => {
            let words: Vec<&str> = [*first].into_iter().chain(rest.iter().map(|(_, word)| *word)).collect();
            format!("{name} in ({})", words.join(", "))
        }
        _ => check.to_owned(),
    }
}

/// The same checks as PostgreSQL writes them: added to a copy of its own table, and read back.
async fn spelled_by_postgres(pg: &mut PgConnection, table: &str, checks: &[String]) -> Vec<String> {
    let mut tx = pg.begin().await.unwrap();
    let make = format!("create temp table probe (like {table}) on commit drop");
    // A table that is missing in PostgreSQL is told by its other facts.
    if sqlx::query(AssertSqlSafe(make)).execute(&mut *tx).await.is_err() {
        return Vec::new();
    }
    for check in checks {
        let add = format!("alter table probe add check ({check})");
        sqlx::query(AssertSqlSafe(add)).execute(&mut *tx).await.expect("the check is understood");
    }
    const READ: &str = "select pg_get_constraintdef(oid) from pg_constraint
                        where conrelid = 'pg_temp.probe'::regclass and contype = 'c'";
    let spelled = sqlx::query_scalar(READ).fetch_all(&mut *tx).await.unwrap();
    tx.rollback().await.unwrap();
    spelled
}

/// Everything about PostgreSQL's tables but their partitions, one fact a line.
async fn postgres_facts(pg: &mut PgConnection) -> BTreeSet<String> {
    const COLUMNS: &str =
        "select c.relname::text, a.attnum::bigint, a.attname::text, format_type(a.atttypid, a.atttypmod),
        a.attnotnull, coalesce(pg_get_expr(d.adbin, d.adrelid), ''), a.attidentity <> ''
        from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
        where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
          and c.relname <> '_sqlx_migrations'";
    const INDEXES: &str = "select t.relname::text as table, n.relname::text as name, i.indisprimary as primary,
        i.indisunique as unique, coalesce(pg_get_expr(i.indpred, i.indrelid), '') as pred,
        exists (select 1 from pg_constraint k where k.conindid = n.oid) as inline,
        (select string_agg(a.attname, ',' order by k.nth) from unnest(i.indkey::int[]) with ordinality k (attnum, nth)
         join pg_attribute a on a.attrelid = t.oid and a.attnum = k.attnum) as columns
        from pg_index i join pg_class t on t.oid = i.indrelid join pg_class n on n.oid = i.indexrelid
        where t.relnamespace = current_schema()::regnamespace and not t.relispartition
          and t.relname <> '_sqlx_migrations'";
    const CHECKS: &str = "select c.relname::text, pg_get_constraintdef(k.oid) from pg_constraint k
        join pg_class c on c.oid = k.conrelid
        where c.relnamespace = current_schema()::regnamespace and k.contype = 'c' and not c.relispartition";
    let mut facts = BTreeSet::new();
    type Column = (String, i64, String, String, bool, String, bool);
    for (table, at, name, kind, not_null, default, numbered) in
        sqlx::query_as::<_, Column>(COLUMNS).fetch_all(&mut *pg).await.unwrap()
    {
        facts.insert(column(&table, at, &name, &kind, not_null, &default, numbered));
    }
    for row in sqlx::query(INDEXES).fetch_all(&mut *pg).await.unwrap() {
        let (table, columns): (String, String) = (row.get("table"), row.get("columns"));
        let name: String = if row.get("inline") { String::new() } else { row.get("name") };
        facts.insert(match row.get("primary") {
            true => format!("{table}: primary key ({columns})"),
            false => index(&table, &name, row.get("unique"), columns, row.get("pred")),
        });
    }
    for (table, check) in sqlx::query_as::<_, (String, String)>(CHECKS).fetch_all(pg).await.unwrap() {
        facts.insert(format!("{table}: {check}"));
    }
    facts
}

fn column(table: &str, at: i64, name: &str, kind: &str, not_null: bool, default: &str, numbered: bool) -> String {
    let null = if not_null { "not null" } else { "null" };
    // The cut key of a partitioned table is numbered there by its own clause, here by the primary key's.
    let default = default.replace("::text", "").replace("::bigint", "");
    let numbered = if numbered { " numbered" } else { "" };
    format!("{table}: column {at} {name} {kind} {null} default ({default}){numbered}")
}

fn index(table: &str, name: &str, unique: bool, columns: String, when: &str) -> String {
    let unique = if unique { "unique " } else { "" };
    let when = when.to_lowercase();
    let when = when.strip_prefix('(').and_then(|when| when.strip_suffix(')')).unwrap_or(&when);
    format!("{table}: {unique}index {name} ({columns}) where ({})", when.replace("::text", ""))
}
