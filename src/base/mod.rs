//! The ground floor: time and chance ([`World`]), sealed tokens, bounded text. Knows nothing of mail.

pub mod draw;
pub mod form;
pub mod metrics;
pub mod text;
pub mod text_enum;
pub mod token;
pub mod world;

pub use world::World;
