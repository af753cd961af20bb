//! Pure decisions: no I/O, no clock, no SQL, no tokio. Time and chance are arguments.

pub mod address;
pub mod alert;
pub mod bounce;
pub mod breaker;
pub mod campaign;
pub mod catalog;
pub mod consent;
pub mod engagement;
pub mod event;
pub mod gate;
pub mod member;
pub mod message;
pub mod money;
pub mod order;
pub mod people;
pub mod provider;
pub mod published;
pub mod recommend;
pub mod retry;
pub mod routing;
pub mod segment;
pub mod shown;
pub mod suppression;
pub mod tagging;
pub mod template;
pub mod touch;
