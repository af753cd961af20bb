//! What members did in their mails: opens, clicks, unsubscribes, with the evidence.

use rusqlite::Transaction;

use super::{Conn, Pair, Rows, StoreError, direct};
use crate::domain::campaign::RunDoc;
use crate::domain::touch::{TouchClass, TouchKind};
use crate::{bulk, on};

/// Longest user agent kept, bytes.
pub const AGENT_BYTES_MAX: usize = 400;

/// One touch before it has a row. The member is found by the message when it is written.
#[derive(Debug, Clone)]
pub struct Touch {
    pub at_ms: i64,
    pub run: u32,
    pub message: i64,
    pub kind: TouchKind,
    pub class: TouchClass,
    /// The link of the template version; 0 where there is none.
    pub slot: u16,
    /// The product behind the link; 0 for none.
    pub product: u32,
    /// Where a click led when that stood in the link itself.
    pub url: Option<String>,
    pub method: &'static str,
    /// At most [`AGENT_BYTES_MAX`] bytes, without control characters.
    pub agent: String,
    pub ip: std::net::IpAddr,
}

impl Touch {
    fn row(&self) -> impl serde::Serialize + '_ {
        let product = (self.product != 0).then_some(self.product);
        let (kind, class) = (self.kind.as_str(), self.class.as_str());
        (
            self.at_ms,
            self.run,
            self.message,
            kind,
            class,
            self.slot,
            product,
            &self.url,
            self.method,
            &self.agent,
            self.ip,
        )
    }

    /// Whether learning takes it up: a person's click.
    fn teaches(&self) -> bool {
        self.kind == TouchKind::Click && self.class == TouchClass::Human
    }
}

/// Inserts touches: `$rows` selects their columns.
macro_rules! insert_touches {
    ($rows:expr, $tail:literal) => {
        concat!(
            "with row (at_ms, run_id, message_id, kind, class, slot, product_id, url, method, agent, ip) as (",
            $rows,
            ") insert into touch (at_ms, run_id, message_id, member_id, kind, class, slot, product_id, url, method, agent, ip)
                 select r.at_ms, r.run_id, r.message_id, m.member_id, r.kind, r.class, r.slot, r.product_id, r.url,
                   r.method, r.agent, r.ip
                 from row r left join message m on m.id = r.message_id and m.run_id = r.run_id
                   left join member p on p.id = m.member_id
                 where (r.kind <> 'open' or p.track_opens is null or p.track_opens = 1)
                   and (r.kind <> 'click' or p.track_clicks is null or p.track_clicks = 1) ",
            $tail
        )
    };
}
macro_rules! touch_rows {
    ($opened:literal) => {
        concat!(
            "select cast(value ->> 0 as bigint), cast(value ->> 1 as bigint), cast(value ->> 2 as bigint),
               value ->> 3, value ->> 4, cast(value ->> 5 as bigint), cast(value ->> 6 as bigint), value ->> 7,
               value ->> 8, value ->> 9, value ->> 10 from ",
            $opened
        )
    };
}
macro_rules! insert_touch_rows {
    ($tail:literal) => {
        Pair {
            sqlite: insert_touches!(touch_rows!("json_each($1)"), $tail),
            postgres: insert_touches!(touch_rows!("json_array_elements(cast($1 as json))"), $tail),
        }
    };
}

/// Appends touches; a person's clicks also go to the outbox, from which learning takes them. A touch of a message
/// that is no more keeps its evidence, without a member. What a member does not want counted is not written down.
///
/// # Crash
/// All or nothing: what commits with the caller's transaction is there, with its outbox rows.
pub async fn append(mut conn: Conn<'_>, touches: &[Touch]) -> Result<(), StoreError> {
    let (mut silent, mut lessons) = (Rows::default(), Rows::default());
    for touch in touches {
        if touch.teaches() { &mut lessons } else { &mut silent }.push(&touch.row());
    }
    if !silent.is_empty() {
        let sql = conn.pick(&insert_touch_rows!(""));
        let rows = silent.json();
        on!(conn.again(), "record touches", c => sqlx::query(sql).bind(rows).execute(&mut *c).await.map(|_| ()))?;
    }
    if !lessons.is_empty() {
        let sql = conn.pick(&insert_touch_rows!("returning id, at_ms"));
        let rows = lessons.json();
        let made: Vec<(i64, i64)> =
            on!(conn.again(), "record clicks", c => sqlx::query_as(sql).bind(rows).fetch_all(&mut *c).await)?;
        hand_to_learning(conn, made).await?;
    }
    Ok(())
}

/// Touches written by one statement, where nobody asks for their ids.
const TOGETHER: usize = 8;

macro_rules! eight_rows {
    ($row:literal) => {
        concat!("values ", $row, ",", $row, ",", $row, ",", $row, ",", $row, ",", $row, ",", $row, ",", $row)
    };
}

/// As [`append`], a few rows at a time on the caller's own thread: no JSON, no hand-over.
///
/// # Crash
/// As [`append`].
pub fn append_directly(tx: &Transaction<'_>, touches: &[Touch]) -> Result<(), StoreError> {
    const ONE: &str = insert_touches!("values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", "");
    const EIGHT: &str = insert_touches!(eight_rows!("(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"), "");
    const LESSON: &str = "insert into outbox (source, ref_id, at_ms) values ('touch', ?1, ?2)";
    let (lessons, silent): (Vec<&Touch>, Vec<&Touch>) = touches.iter().partition(|touch| touch.teaches());
    let (eights, rest) = silent.as_chunks::<TOGETHER>();
    for eight in eights {
        insert(tx, EIGHT, eight)?;
    }
    for touch in rest {
        insert(tx, ONE, &[touch])?;
    }
    for touch in lessons {
        if insert(tx, ONE, &[touch])? > 0 {
            direct::run(tx, "hand a click to learning", LESSON, (tx.last_insert_rowid(), touch.at_ms))?;
        }
    }
    Ok(())
}

/// Runs an insert of as many touches as its text has rows; how many were kept.
fn insert(tx: &Transaction<'_>, sql: &'static str, touches: &[&Touch]) -> Result<usize, StoreError> {
    let failed = |error| StoreError::direct("record touches", error);
    let mut statement = tx.prepare_cached(sql).map_err(failed)?;
    let mut at = 0;
    let mut bind = |value: &dyn rusqlite::ToSql| {
        at += 1;
        statement.raw_bind_parameter(at, value)
    };
    for touch in touches {
        let Touch { at_ms, run, message, slot, url, method, agent, .. } = touch;
        let product = (touch.product != 0).then_some(touch.product);
        let (kind, class, ip) = (touch.kind.as_str(), touch.class.as_str(), touch.ip.to_string());
        let row: [&dyn rusqlite::ToSql; 11] =
            [at_ms, run, message, &kind, &class, slot, &product, url, method, agent, &ip];
        row.into_iter().try_for_each(&mut bind).map_err(failed)?;
    }
    statement.raw_execute().map_err(failed)
}

async fn hand_to_learning(conn: Conn<'_>, made: Vec<(i64, i64)>) -> Result<(), StoreError> {
    let sql = conn.pick(&bulk!(
        "insert into outbox (source, ref_id, at_ms) select 'touch', cast(value ->> 0 as bigint), cast(value ->> 1 as bigint) from",
        "$1",
        ""
    ));
    let rows = Rows::of(made).json();
    on!(conn, "hand clicks to learning", c => sqlx::query(sql).bind(rows).execute(&mut *c).await.map(|_| ()))
}

/// Where the link of a message leads: the product's page if it names one, else the link of the template version the
/// message was made from. `None`: the message, the link or the product is no more.
pub async fn destination(
    conn: Conn<'_>,
    run: u32,
    message: i64,
    slot: u16,
    product: u32,
) -> Result<Option<String>, StoreError> {
    const LINK: &str = "select l.url from message m join link l on l.template_version_id = m.template_version_id
         where m.run_id = $1 and m.id = $2 and l.slot = $3";
    const PRODUCT: &str = "select url from product where id = $1";
    if product != 0 {
        return on!(conn, "find a product's page", c => sqlx::query_scalar(PRODUCT).bind(i64::from(product)).fetch_optional(&mut *c).await);
    }
    let (run, slot) = (i64::from(run), i64::from(slot));
    on!(conn, "find where a link leads", c => sqlx::query_scalar(LINK).bind(run).bind(message).bind(slot).fetch_optional(&mut *c).await)
}

/// Who a message was written to, and under what.
#[derive(Debug, Clone)]
pub struct Addressee {
    /// `None`: erased since.
    pub member_id: Option<i64>,
    pub addr_key: Option<i64>,
    pub locale: Option<String>,
    pub doc: RunDoc,
}

/// The addressee of a message, or `None` when the message or its run is no more.
pub async fn addressee(conn: Conn<'_>, run: u32, message: i64) -> Result<Option<Addressee>, StoreError> {
    const SQL: &str = "select p.id, m.addr_key, p.locale, r.doc
         from message m join run r on r.id = m.run_id left join member p on p.id = m.member_id and p.status = 'live'
         where m.run_id = $1 and m.id = $2";
    type Row = (Option<i64>, Option<i64>, Option<String>, String);
    let row: Option<Row> = on!(conn, "find whom a message was written to", c => sqlx::query_as(SQL).bind(i64::from(run)).bind(message).fetch_optional(&mut *c).await)?;
    let Some((member_id, addr_key, locale, doc)) = row else { return Ok(None) };
    let doc = serde_json::from_str(&doc)
        .map_err(|error| StoreError::Inconsistent { what: format!("the document of run {run}: {error}") })?;
    Ok(Some(Addressee { member_id, addr_key, locale, doc }))
}
