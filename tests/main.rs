//! The integration tests: one binary, one file per behaviour or failure.

mod support;

mod store_basics;
