//! One file per step of the way of a message. Steps never call each other: they hand over through a table.

pub mod audience;
pub mod bounce;
pub mod breaker;
pub mod classify;
pub mod courier;
pub mod dispatch;
pub mod editions;
pub mod forget;
pub mod gate;
pub mod handover;
pub mod intake;
pub mod learn;
pub mod plan;
pub mod preferences;
pub mod profile;
pub mod publish;
pub mod relate;
pub mod report;
pub mod servers;
pub mod signup;
pub mod track;
pub mod web_version;
