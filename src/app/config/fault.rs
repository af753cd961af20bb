//! What is wrong with a configuration, where, and how to mend it.

use super::tree::Place;

/// One fault. Never holds a value that may be secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub place: Place,
    /// The key's path, as in `route[0].host`; empty where no key is to blame.
    pub key: String,
    pub what: String,
    pub fix: String,
}

impl Fault {
    pub fn new(place: Place, key: &str, what: impl Into<String>, fix: impl Into<String>) -> Fault {
        Fault { place, key: key.to_owned(), what: what.into(), fix: fix.into() }
    }

    /// Where it stands: `FILE:LINE`, the variable, or the file alone.
    pub fn at(&self, file: &str) -> String {
        match &self.place {
            Place::Line(line) => format!("{file}:{line}"),
            Place::Env(name) => format!("environment {name}"),
            Place::Default => file.to_owned(),
        }
    }
}

/// Every fault of a configuration.
#[derive(Debug, Clone)]
pub struct Faults {
    /// The file's name as given, or what stands for it.
    pub file: String,
    pub list: Vec<Fault>,
}

impl std::fmt::Display for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (nth, fault) in self.list.iter().enumerate() {
            let gap = if nth == 0 { "" } else { "\n" };
            write!(f, "{gap}{}: {}", fault.at(&self.file), fault.key)?;
            let space = if fault.key.is_empty() { "" } else { " " };
            write!(f, "{space}{}\n  fix: {}", fault.what, fault.fix)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
