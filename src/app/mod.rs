//! The top floor: the command line, the configuration, and the wiring of everything below.

pub mod alone;
pub mod category_rules;
pub mod check;
pub mod cli;
pub mod config;
pub mod demo;
mod dkim;
mod dns;
mod doctor;
pub mod high_water;
pub mod hooks;
pub mod inbound;
pub mod keys;
pub mod launch;
pub mod library;
pub mod lock;
pub mod log;
pub mod mailbox;
pub mod reply_rules;
mod routes;
pub mod serve;
mod signup;
pub mod tag_rules;
mod ticks;
pub mod workers;
