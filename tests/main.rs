//! The integration tests: one binary, one file per behaviour or failure.

mod support;

mod admin;
mod bad_config;
mod bad_template;
mod check;
mod command_line;
mod config_file;
mod daemon_life;
mod import;
mod import_crash;
mod import_fuzz;
mod learn;
mod mailbox;
mod member_day;
mod member_show;
mod parity;
mod permission;
mod products;
mod queue;
mod queue_simulation;
mod render;
mod report;
mod sample_shop;
mod segment_cli;
mod segment_language;
mod segment_oracle;
mod segment_store;
mod smtp_client;
mod smtp_fuzz;
mod store_basics;
mod template_store;
mod tidy;
mod tracking;
mod web_version;
