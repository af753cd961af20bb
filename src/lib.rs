//! indicia: a self-hosted email campaign daemon.

pub mod app;
pub mod base;
pub mod domain;
pub mod flow;
pub mod queue;
pub mod render;
pub mod smtp;
pub mod store;
pub mod web;
