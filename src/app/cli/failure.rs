//! How a command ends.

/// The exit codes that scripts rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything was done.
    Done = 0,
    /// Something failed, and stderr says what, where, and the fix.
    Failed = 1,
    /// The command line was wrong.
    Usage = 2,
    /// A campaign finished, with some mails failed or in doubt.
    Partly = 3,
}

/// Why a command failed, for a person: what, where, and the fix. Any error turns into one by `?`.
#[derive(Debug)]
pub struct Failure {
    what: String,
    fix: Option<String>,
    /// Whoever read our output went away: no failure of ours, and nobody to tell.
    unheard: bool,
}

impl Failure {
    pub fn new(what: impl Into<String>) -> Failure {
        Failure { what: what.into(), fix: None, unheard: false }
    }

    /// Adds how to mend it: a sentence in the imperative.
    pub fn fix(mut self, fix: impl Into<String>) -> Failure {
        self.fix = Some(fix.into());
        self
    }

    /// Says it on stderr, and gives the exit code.
    pub fn tell(&self) -> Exit {
        if self.unheard {
            return Exit::Done;
        }
        eprintln!("error: {}", self.what);
        if let Some(fix) = &self.fix {
            eprintln!("  fix: {fix}");
        }
        Exit::Failed
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::new(error.to_string())
    }
}

/// Gives an error its fix on the way up: `store::open(url).await.fix("start the server")?`.
pub trait Fix<T> {
    /// # Errors
    /// The same error, with how to mend it.
    fn fix(self, fix: impl Into<String>) -> Result<T, Failure>;
}

impl<T, E: Into<Failure>> Fix<T> for Result<T, E> {
    fn fix(self, fix: impl Into<String>) -> Result<T, Failure> {
        self.map_err(|error| error.into().fix(fix))
    }
}

/// Writes to stdout; a reader that went away ends the command quietly instead of with a panic.
pub(super) fn write_out(text: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            Err(Failure { unheard: true, ..Failure::new("nobody reads stdout any more") })
        }
        other => other.map_err(|error| Failure::new(format!("could not write to stdout: {error}"))),
    }
}
