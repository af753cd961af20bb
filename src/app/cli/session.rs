//! What every command that works on the database is handed.

use std::fmt::Display;
use std::sync::Arc;

use serde::Serialize;

use super::Failure;
use super::failure::write_out;
use crate::app::config::Config;
use crate::app::{keys, routes};
use crate::base::World;
use crate::base::token::Keyring;
use crate::domain::provider::ProviderTable;
use crate::store::schema::{self, Standing};
use crate::store::{Db, OpenOptions};

/// One command's hold on the world: configuration, database, clock, and how to answer.
#[derive(Clone)]
pub struct Session {
    pub config: Arc<Config>,
    pub db: Db,
    pub world: World,
    /// Answer in JSON.
    pub json: bool,
}

impl Session {
    /// Opens the configured database and brings its tables up to date: what a daemon does.
    ///
    /// # Errors
    /// When it cannot be reached or migrated.
    pub async fn open(config: Config, json: bool) -> Result<Session, Failure> {
        let db = open_db(&config).await?;
        db.migrate().await?;
        Ok(Session { config: Arc::new(config), db, world: World::system(), json })
    }

    /// Opens the configured database for a command. A new one gets its tables; one of another version is left alone,
    /// because a daemon of that version may be at work on it.
    ///
    /// # Errors
    /// When it cannot be reached, or is of another version.
    pub async fn open_beside(config: Config, json: bool) -> Result<Session, Failure> {
        let db = open_db(&config).await?;
        let mut reader = db.reader().await?;
        let standing = schema::standing(reader.conn()).await?;
        drop(reader);
        match standing {
            Standing::Current => {}
            Standing::Empty => db.migrate().await?,
            Standing::Behind(n) => {
                let what = format!("the database lacks {n} migrations of this version of indicia");
                return Err(Failure::new(what).fix("stop older daemons, then run `indicia migrate`"));
            }
            Standing::Ahead => {
                let what = "the database was migrated by a newer version of indicia";
                return Err(Failure::new(what).fix("run that version"));
            }
        }
        Ok(Session { config: Arc::new(config), db, world: World::system(), json })
    }

    /// Unix milliseconds now.
    pub fn now_ms(&self) -> i64 {
        self.world.now_ms()
    }

    /// The keys of tokens, made at the first use on SQLite.
    ///
    /// # Errors
    /// A key file that cannot be read or made.
    pub fn keyring(&self) -> Result<Keyring, Failure> {
        Ok(keys::keyring(&self.config, &self.world)?)
    }

    /// Whose mail servers stand behind which domains.
    ///
    /// # Errors
    /// When the file of `[rules] shaping` is no such table.
    pub fn providers(&self) -> Result<ProviderTable, Failure> {
        Ok(routes::provider_table(&self.config)?)
    }

    /// Answers on stdout: one JSON value on a line of its own with `--json`, else the words.
    ///
    /// # Errors
    /// When stdout cannot be written to.
    pub fn show(&self, value: &impl Serialize, words: impl Display) -> Result<(), Failure> {
        if self.json { self.print(value) } else { write_out(&format!("{words}\n")) }
    }

    /// One JSON value on a line of its own, `--json` or not.
    ///
    /// # Errors
    /// When stdout cannot be written to.
    pub fn print(&self, value: &impl Serialize) -> Result<(), Failure> {
        write_out(&(serde_json::to_string(value)? + "\n"))
    }

    /// Text or bytes of a document (a rendered mail) to stdout as they are.
    ///
    /// # Errors
    /// When stdout cannot be written to.
    pub fn write(&self, text: &str) -> Result<(), Failure> {
        write_out(text)
    }

    /// A remark for people, on stderr.
    pub fn say(&self, words: impl Display) {
        eprintln!("{words}");
    }
}

/// Opens the configured database without touching its tables.
pub(super) async fn open_db(config: &Config) -> Result<Db, Failure> {
    let options = OpenOptions {
        sqlite_bytes_max: config.database.sqlite_bytes_max,
        postgres_connections: config.database.connections,
    };
    let fix = if config.database.is_sqlite() {
        "check that the folder of [database] url exists or can be made, and may be written to"
    } else {
        "check [database] url, and that the server runs and lets this user in"
    };
    Db::open(&config.database.url, &options).await.map_err(|error| Failure::from(error).fix(fix))
}
