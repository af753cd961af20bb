//! indicia: a self-hosted email campaign daemon.

pub mod base;
pub mod domain;
pub mod queue;
pub mod smtp;
pub mod store;
