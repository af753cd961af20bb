//! Small facts a database keeps about itself.

use super::{Conn, StoreError};
use crate::base::World;
use crate::on;

/// The value of a setting, or `None`.
pub async fn get(conn: Conn<'_>, name: &str) -> Result<Option<String>, StoreError> {
    const SQL: &str = "select value from setting where name = $1";
    on!(conn, "read a setting", c => sqlx::query_scalar(SQL).bind(name).fetch_optional(&mut *c).await)
}

/// Sets a setting unless it is set, and returns what it is now: of two processes that try, both get the first's.
///
/// # Crash
/// Either value or no value.
pub async fn get_or_set(mut conn: Conn<'_>, name: &str, value: &str) -> Result<String, StoreError> {
    const SQL: &str = "insert into setting (name, value) values ($1, $2) on conflict (name) do nothing";
    on!(conn.again(), "write a setting", c => sqlx::query(SQL).bind(name).bind(value).execute(&mut *c).await.map(|_| ()))?;
    get(conn, name).await?.ok_or_else(|| StoreError::Inconsistent { what: format!("setting {name} vanished") })
}

/// The secret under which addresses are hashed into keys: made once per database, the same for ever.
pub async fn addr_secret(conn: Conn<'_>, world: &World) -> Result<crate::domain::address::AddrSecret, StoreError> {
    let mut fresh = [0; 32];
    world.fill(&mut fresh);
    let hex = get_or_set(conn, "addr_secret", &data_encoding::HEXLOWER.encode(&fresh)).await?;
    let bytes = data_encoding::HEXLOWER
        .decode(hex.as_bytes())
        .ok()
        .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
        .ok_or_else(|| StoreError::Inconsistent { what: "setting addr_secret is not 32 bytes in hex".to_owned() })?;
    Ok(crate::domain::address::AddrSecret::new(bytes))
}
