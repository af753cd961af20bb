//! What the tests stand on: databases, servers, sinks of their own.

pub mod actors;
pub mod browser;
pub mod campaign;
pub mod contract;
pub mod daemon;
pub mod db;
pub mod dkim;
pub mod dns;
pub mod ear;
pub mod post_office;
pub mod queue;
pub mod segments;
pub mod sink;
pub mod site;
pub mod sql;
pub mod traffic;
