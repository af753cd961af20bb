//! What is known of categories: how long their things serve, and whether they are bought again and again.

use std::collections::HashMap;

use serde::Deserialize;

use super::DAY_MS;

/// The embedded file.
const DEFAULT: &str = include_str!("../../../config/categories.toml");
/// Most service years that make sense.
const YEARS_MAX: f64 = 100.0;

/// One category's care.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Care {
    /// How long such a thing serves, milliseconds; `None`: nobody said.
    pub service_ms: Option<i64>,
    /// The same product is bought again and again.
    pub repeatable: bool,
}

/// What is known of all categories.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cares {
    named: HashMap<String, Care>,
    otherwise: Care,
}

/// A file of categories that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {what}")]
pub struct CareError {
    file: String,
    what: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    category: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    names: Vec<String>,
    service_years: Option<f64>,
    #[serde(default)]
    repeatable: bool,
}

impl Cares {
    /// Those that ship with the program.
    pub fn embedded() -> Cares {
        Cares::parse(DEFAULT, "categories.toml").expect("the embedded categories have no fault, a test sees to it")
    }

    /// Everything is bought again and again.
    pub fn all_repeatable() -> Cares {
        Cares { otherwise: Care { repeatable: true, ..Care::default() }, ..Cares::default() }
    }

    /// Reads a file; `file` is its name in errors.
    ///
    /// # Errors
    /// What is wrong, with the line where the text itself is.
    pub fn parse(text: &str, file: &str) -> Result<Cares, CareError> {
        let wrong = |what: String| CareError { file: file.to_owned(), what };
        let parsed: File = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let mut cares = Cares::default();
        for Entry { names, service_years, repeatable } in parsed.category {
            if let Some(years) = service_years.filter(|years| !(*years > 0.0 && *years <= YEARS_MAX)) {
                return Err(wrong(format!("service_years = {years} of {names:?}: write 0.1 to {YEARS_MAX}")));
            }
            let service_ms = service_years.map(|years| (years * 365.25 * DAY_MS as f64) as i64);
            for name in names {
                if cares.named.insert(name.clone(), Care { service_ms, repeatable }).is_some() {
                    return Err(wrong(format!("the category {name:?} is listed twice: keep one of them")));
                }
            }
        }
        Ok(cares)
    }

    /// The care of a category path: its own, else that of the nearest one above it.
    pub fn of(&self, path: &str) -> Care {
        let mut path = path;
        loop {
            let leaf = path.rsplit('/').next().unwrap_or_default();
            if let Some(care) = self.named.get(path).or_else(|| self.named.get(leaf)) {
                return *care;
            }
            match path.rsplit_once('/') {
                Some((above, _)) => path = above,
                None => return self.otherwise,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_category_has_its_own_care_or_that_of_the_nearest_above() {
        let cares = Cares::embedded();
        let years = |path: &str| cares.of(path).service_ms.map(|ms| ms / DAY_MS / 365);
        assert_eq!(years("kitchen/refrigerator"), Some(10));
        assert_eq!(years("laundry/washer/front-loader"), Some(8));
        assert_eq!(years("garden/chair"), None);
        assert!(cares.of("kitchen/refrigerator/filter").repeatable && !cares.of("kitchen/refrigerator").repeatable);
        assert!(Cares::all_repeatable().of("anything").repeatable);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, says) in [
            ("[[category]]\nnames = [\"a\", \"a\"]", "listed twice"),
            ("[[category]]\nnames = [\"a\"]\nservice_years = 0", "write 0.1 to 100"),
            ("[[category]]\nnames = [\"a\"]\nlife = 3", "unknown field"),
        ] {
            let error = Cares::parse(text, "mine.toml").unwrap_err().to_string();
            assert!(error.starts_with("mine.toml: ") && error.contains(says), "{error}");
        }
    }
}
