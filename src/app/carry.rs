//! One mail straight over a route, beside the queue: what a doctor tries out, and what a person must hear though the
//! queue stands still.

use std::fmt::Display;

use crate::render::Mail;
use crate::smtp::{Connection, Envelope, Opened, Route, TlsConfigs};

/// Delivers a mail and gives the server's reply.
///
/// # Errors
/// What kept it from being taken, in words.
pub async fn carry(route: &Route, tls: &TlsConfigs, mail: &Mail) -> Result<String, String> {
    let said = |error: &dyn Display| error.to_string();
    let envelope = Envelope::new(&mail.envelope_from, &mail.envelope_to).map_err(|error| said(&error))?;
    let mut connection = Connection::open(route, tls).await.map_err(|error| said(&error))?;
    match connection.open_envelope(&envelope).await.map_err(|error| said(&error))? {
        Opened::Ready => {}
        Opened::Refused { stage, reply } => {
            return Err(format!("refused at {}: {} {}", stage.as_str(), reply.code, reply.text));
        }
    }
    connection.send_content(&mail.bytes).await.map_err(|error| said(&error))?;
    let reply = connection.finish(None).await.reply.map_err(|error| said(&error))?;
    let _ = connection.quit().await;
    Ok(format!("{} {}", reply.code, reply.text))
}
