//! indicia: a self-hosted email campaign daemon.
//!
//! It sends a company's mails, each member's its own, and learns from what people do with them. The promise that shapes
//! the code: *never lost, never twice*. Whatever dies, every message of a run is in exactly one state and the states
//! add up to the frozen audience. The one honest exception is `in_doubt`: a final dot was permitted and no reply
//! recorded; there are at most as many as there were open SMTP connections.
//!
//! # The way of a message
//!
//! ```text
//!  intake ─► audience ─► plan ─► [queue] ─► dispatch ─► courier ─► SMTP route
//!  members   segment     freeze  message    shaping     render, sign       │ reply
//!  products  preview     variants    ▲      budget      arm ► deliver ► settle
//!     ▲                              │ pause                               │ the mail is opened, clicked,
//!     │                           breaker ◄───────────── bounce ◄──────────┤ returned, complained about
//!     │                                                inbound, webhooks   │
//!     └─ segments see tags ◄─ learn ◄─ classify ◄─ events ◄─ track ◄─ web ◄┘
//! ```
//!
//! Each step is one file in [`flow`]. Steps never call each other: they hand over through a table, so that a process
//! may die between any two of them. (The dispatcher and its couriers share one bounded channel, made in [`app`].)
//!
//! # The rooms
//!
//! Imports go down only; a test reads the sources and guards it.
//!
//! | room | holds | sees |
//! |---|---|---|
//! | [`base`] | clock and randomness ([`base::World`]), sealed tokens, metrics | – |
//! | [`domain`] | pure decisions: no I/O, no clock, no SQL | base |
//! | [`store`] | the SQL, one text for SQLite and PostgreSQL | base, domain |
//! | [`queue`] | the crash-safe send queue: claim, arm, settle, recover | base, domain, store |
//! | [`render`] | templates, links, MIME | base, domain |
//! | [`smtp`] | the wire, every failure's stage known; the built-in mailbox | base, domain |
//! | [`inbound`] | what comes back by mail, read and fetched | base, domain, smtp |
//! | [`flow`] | one file per step of the way | all above |
//! | [`web`] | the public listener and the pages | all above |
//! | [`app`] | configuration, wiring, workers, command line | all |
//!
//! # Habits
//!
//! * Time and chance are arguments; only [`app`] makes a [`base::World`].
//! * A query takes a borrowed connection ([`store::Conn`]), so its caller decides what commits together. No transaction
//!   is held across SMTP, HTTP or rendering.
//! * A status is an enum with one `next` function and a check in its table.
//! * Errors say what was attempted and carry their decision; nothing matches on their text.
//! * Everything has a bound with a name, its unit last.
//! * What writes says under `# Crash` what the database says if the process dies inside it.
//!
//! # Where to begin
//!
//! To add a query: [`store`]. A command: [`app::cli`]. A configuration key: [`app::config`]. A state: [`domain::message`],
//! then [`queue`]. A setting of what an event means: `config/tags.toml`.

pub mod app;
pub mod base;
pub mod domain;
pub mod flow;
pub mod inbound;
pub mod queue;
pub mod render;
pub mod smtp;
pub mod store;
pub mod web;

/// A mail is made of hundreds of small pieces, often freed by another thread than made them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The environment of a process that may have little address space: the allocator reserves none ahead.
pub const FRUGAL: (&str, &str) = ("MIMALLOC_ARENA_RESERVE", "0");
