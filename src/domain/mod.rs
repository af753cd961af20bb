//! Pure decisions: no I/O, no clock, no SQL, no tokio. Time and chance are arguments.

pub mod address;
pub mod campaign;
pub mod catalog;
pub mod member;
pub mod message;
