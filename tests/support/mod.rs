//! What the tests stand on: databases, servers, sinks of their own.

pub mod db;
