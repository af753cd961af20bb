//! What the tests stand on: databases, servers, sinks of their own.

#[expect(dead_code, reason = "until the tests of serve use all of it: then remove this line")]
pub mod daemon;
pub mod db;
pub mod queue;
pub mod segments;
pub mod sink;
pub mod site;
pub mod sql;
