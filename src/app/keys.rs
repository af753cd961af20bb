//! The key files of tokens: read, or made at the first start on SQLite.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER_PERMISSIVE;

use super::config::Config;
use crate::base::World;
use crate::base::token::{KEY_BYTES, Keyring};

/// The id of the key that is made when none is configured.
const OWN_KEY_ID: u8 = 1;

/// What is wrong with a key file. Never quotes it.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("could not read the token key {}: {source}", file.display())]
    Read { file: PathBuf, source: std::io::Error },
    #[error("could not make the token key {}: {source}", file.display())]
    Make { file: PathBuf, source: std::io::Error },
    #[error("the token key {} is not 64 hexadecimal digits; make one with `openssl rand -hex 32`", file.display())]
    Form { file: PathBuf },
}

/// Where the key lies that a daemon on SQLite makes for itself.
pub fn own_key_file(config: &Config) -> PathBuf {
    config.state_folder().join("token-1.key")
}

/// The ring of every configured key. On SQLite without `[[tokens.key]]` a key is made in the state folder at the first
/// start, readable by its owner alone.
///
/// # Errors
/// The first file that cannot be read or made.
///
/// # Crash
/// A key file is there whole or not at all.
pub fn keyring(config: &Config, world: &World) -> Result<Keyring, KeyError> {
    let mut secrets = Vec::new();
    for key in &config.tokens.keys {
        secrets.push((key.id, read(&key.file)?));
    }
    if secrets.is_empty() {
        let file = own_key_file(config);
        if !file.exists() {
            make(&file, world)?;
        }
        secrets.push((OWN_KEY_ID, read(&file)?));
    }
    Ok(Keyring::new(&secrets))
}

/// Reads one key file: 64 hexadecimal digits.
///
/// # Errors
/// When it cannot be read, or is no key.
pub fn read(file: &Path) -> Result<[u8; KEY_BYTES], KeyError> {
    let text = fs::read_to_string(file).map_err(|source| KeyError::Read { file: file.to_owned(), source })?;
    let bytes = HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).ok();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| KeyError::Form { file: file.to_owned() })
}

/// Whether anybody but its owner may read a key file.
pub fn is_exposed(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|found| found.permissions().mode() & 0o077 != 0)
}

/// Writes a fresh key beside `file` and links it there: of two processes that try, one wins and both read the same.
fn make(file: &Path, world: &World) -> Result<(), KeyError> {
    let failed = |source| KeyError::Make { file: file.to_owned(), source };
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let mut secret = [0; KEY_BYTES];
    world.fill(&mut secret);
    let draft = folder.join(format!(".token-{:016x}", world.random()));
    let written =
        write_private(&draft, &HEXLOWER_PERMISSIVE.encode(&secret)).and_then(|()| fs::hard_link(&draft, file));
    let _ = fs::remove_file(&draft);
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(failed(error)),
        _ => fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed),
    }
}

fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::token::{Token, Use};

    fn config(folder: &Path) -> Config {
        Config::parse("", None, folder.to_owned(), &[]).map_err(|faults| faults.to_string()).unwrap().0
    }

    #[test]
    fn the_first_start_makes_a_private_key_and_every_later_one_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let world = World::system();
        let rings: Vec<Keyring> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8).map(|_| scope.spawn(|| keyring(&config, &world).unwrap())).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        let sealed = rings[0].seal(Use::Click, &Token::of(1, 2));
        assert!(rings.iter().all(|ring| ring.open(Use::Click, &sealed) == Ok(Token::of(1, 2))), "one key for all");
        let file = own_key_file(&config);
        assert!(!is_exposed(&file));
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "no draft is left behind");
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("k");
        fs::write(&file, "5a5a-not-hex").unwrap();
        let error = read(&file).unwrap_err().to_string();
        assert!(error.contains("64 hexadecimal digits") && !error.contains("5a5a"), "{error}");
    }
}
