//! Many rows as one argument, and the few statements that differ by database.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;

/// A statement whose text differs by database; the reason stands beside it.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    pub sqlite: &'static str,
    pub postgres: &'static str,
}

/// A statement over many rows: one text with one gap for the function that opens a JSON array.
///
/// `bulk!("with row(id) as (select cast(value ->> 0 as bigint) from", "$1", ") update …")` is a [`Pair`] in which the
/// gap reads `json_each($1)` or `json_array_elements(cast($1 as json))`. On SQLite the rows are materialized: otherwise
/// each is written out as text again for every column that is read of it.
#[macro_export]
macro_rules! bulk {
    ($head:expr, $argument:literal, $tail:expr) => {
        $crate::store::Pair {
            sqlite: concat!(
                $head,
                " (with item(value) as materialized (select value from json_each(",
                $argument,
                ")) select value from item) ",
                $tail
            ),
            postgres: concat!($head, " json_array_elements(cast(", $argument, " as json)) ", $tail),
        }
    };
}

/// A query over many rows whose answer is many rows too, gathered into one JSON text: each row that a driver hands over
/// by itself costs a wake-up and several allocations a column, more than reading it cost.
///
/// `gather!(HEAD, "$1", TAIL, "a, b" from "select … as a, … as b …")`: head, gap and tail are those of
/// [`bulk!`](crate::bulk), the columns are named as the query names them; [`gathered`] reads the text. Numbers keep
/// 15 significant digits.
#[macro_export]
macro_rules! gather {
    ($head:expr, $argument:literal, $tail:expr, $columns:literal from $query:expr) => {
        $crate::store::Pair {
            sqlite: $crate::bulk!(
                $head,
                $argument,
                concat!($tail, " select json_group_array(json_array(", $columns, ")) from (", $query, ") found")
            )
            .sqlite,
            postgres: $crate::bulk!(
                $head,
                $argument,
                concat!(
                    $tail,
                    " select cast(coalesce(json_agg(json_build_array(",
                    $columns,
                    ")), '[]') as text) from (",
                    $query,
                    ") found"
                )
            )
            .postgres,
        }
    };
}

/// The rows of a [`gather!`](crate::gather).
///
/// # Errors
/// [`StoreError::Inconsistent`] when they are not what the program takes them for.
pub fn gathered<R: DeserializeOwned>(json: &str) -> Result<Vec<R>, StoreError> {
    serde_json::from_str(json).map_err(|error| StoreError::Inconsistent { what: format!("gathered rows: {error}") })
}

/// The JSON argument of a bulk statement: an array of rows, each an array of columns.
#[derive(Debug, Default)]
pub struct Rows {
    json: Vec<u8>,
    len: usize,
}

impl Rows {
    /// Rows from an iterator of tuples, arrays or single-field tuples `(x,)`.
    pub fn of<R: Serialize>(rows: impl IntoIterator<Item = R>) -> Rows {
        let mut all = Rows::default();
        for row in rows {
            all.push(&row);
        }
        all
    }

    /// Appends one row: a tuple of integers, floats, strings and options of them.
    pub fn push<R: Serialize>(&mut self, row: &R) {
        self.json.push(if self.len == 0 { b'[' } else { b',' });
        serde_json::to_writer(&mut self.json, row).expect("tuples of plain values are JSON");
        self.len += 1;
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The finished argument, to be bound as text.
    pub fn json(mut self) -> String {
        if self.len == 0 {
            self.json.push(b'[');
        }
        self.json.push(b']');
        String::from_utf8(self.json).expect("JSON is UTF-8")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_an_array_of_arrays() {
        assert_eq!(Rows::default().json(), "[]");
        assert_eq!(Rows::of([(1, "a", None::<i64>), (2, "b\"", Some(3))]).json(), r#"[[1,"a",null],[2,"b\"",3]]"#);
    }
}
