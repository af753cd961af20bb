//! The SQL, one file per family of tables, one text for SQLite and PostgreSQL.
//!
//! # How to write a query
//!
//! A query is a function that takes a [`Conn`], a borrowed connection: its caller decides what commits together. The
//! text stands in the function, in the shared dialect below, and runs through [`on!`](crate::on), which compiles it
//! against both drivers:
//!
//! ```ignore
//! pub async fn by_name(conn: Conn<'_>, name: &str) -> Result<Option<i64>, StoreError> {
//!     const SQL: &str = "select id from template where name = $1";
//!     on!(conn, "find a template", c => sqlx::query_scalar(SQL).bind(name).fetch_optional(&mut *c).await)
//! }
//! ```
//!
//! A statement over many rows is one text with one JSON argument, an array of arrays, and is written with
//! [`bulk!`](crate::bulk); [`Rows`] builds the argument. Row-by-row statements are thirty times slower. A query of the
//! sending path with many rows to answer is a [`gather!`](crate::gather), which answers them as one.
//! Where the two databases must differ, write a [`Pair`] with the reason beside it.
//!
//! # The shared dialect
//!
//! `$1 … $n`; ids made by the database and read with `returning id`; instants as unix milliseconds; statuses as text
//! with a check; `cast(sum(x) as bigint)` (PostgreSQL's sum is numeric); upserts by `on conflict (key) do update set
//! x = excluded.x`, in an insert-select always after a `where`; sorting with `nulls first` written out; letter case
//! folded in Rust. Not used: `now()`, `like`, `greatest`, `date_trunc`, triggers, and arrays but by the turn of
//! PostgreSQL, whose rows come thousands of times a second; JSON only as the argument of a bulk statement. One JSON
//! argument serves both databases because `value ->> 0` and `cast(… as bigint)` mean the same in both; only the name of
//! the function that opens an array differs.
//!
//! # Who may write
//!
//! [`Db::begin`] gives the one writer of a SQLite file in turn to the [`Lane`]s: settle and arm first, then what came
//! back, then the rest. No transaction is held across SMTP, HTTP or rendering, and no bulk piece over about 10 ms while
//! others wait. [`Db::direct`] gives the same writer to a thread that may block: the turns, the touches and the freeze,
//! where a hand-over to the driver's thread for each statement would cost more than the statements.
//!
//! PostgreSQL plans by what it believes of its tables. Statements that name every row they touch by a key, as those of a
//! claim, a turn, a touch or an import, go over connections that know no other way: [`Db::begin_by_key`],
//! [`Db::reader_by_key`], and [`Db::line`] for turns.

pub mod alert;
pub mod attribute;
pub mod breaker;
pub mod catalog;
pub mod checkpoint;
pub mod consent;
pub mod daemon;
mod db;
pub mod deed;
pub mod direct;
pub mod dossier;
pub mod erase;
mod error;
pub mod event;
pub mod gate;
pub mod history;
pub mod lease;
pub mod mailbox;
pub mod member;
pub mod member_view;
pub mod message;
pub mod mx;
pub mod order;
pub mod outbox;
pub mod people;
pub mod product;
pub mod provider;
pub mod recommend;
pub mod report;
mod rows;
pub mod run;
pub mod schema;
pub mod segment;
pub mod setting;
pub mod signup;
pub mod stray;
pub mod strike;
pub mod suppression;
pub mod tag;
pub mod tally;
pub mod template;
pub mod timeline;
pub mod touch;
pub mod webhook;

pub use db::{CACHE_KIB, Conn, Db, LINES, Lane, Line, OpenOptions, Reader, Room, Tx, mask_password};
pub use error::StoreError;
pub use rows::{Pair, Rows, gathered};
