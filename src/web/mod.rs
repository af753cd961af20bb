//! What is seen through a browser, and through a mail program that loads a picture.
//!
//! Two listeners: [`public`] faces the world and answers only the links of sent mails; [`admin`] serves pages, the API
//! and metrics to the machine itself. Neither imports `app`: what they need is handed to them in plain structs.

pub mod admin;
pub mod client;
pub mod fetch;
mod form;
mod page;
pub mod public;
mod server;

pub use page::{Lang, Pages};
