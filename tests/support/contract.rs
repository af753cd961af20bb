//! The schemas of `tests/contract/`, and a validator of the part of JSON Schema (draft 2020-12) they are written in.
//!
//! It is stricter than a schema is for others: a key that no schema names is a fault, so that nothing is promised by
//! accident; and a keyword it does not know is a panic, so that no promise goes unread.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;

use serde_json::{Map, Value};

/// Every schema of the folder, and which of them something was judged by.
pub struct Contract {
    schemas: BTreeMap<String, Value>,
    used: Mutex<BTreeSet<String>>,
}

/// A schema and the file it stands in, which its references are relative to.
#[derive(Clone, Copy)]
struct Place<'c> {
    file: &'c str,
    schema: &'c Map<String, Value>,
}

impl Contract {
    pub fn read() -> Contract {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract");
        let entries = std::fs::read_dir(&folder).expect("tests/contract").flatten();
        let schema = |entry: std::fs::DirEntry| {
            let text = std::fs::read_to_string(entry.path()).expect("a schema");
            let name = entry.file_name().into_string().expect("a name in ASCII");
            let value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, value)
        };
        Contract { schemas: entries.map(schema).collect(), used: Mutex::default() }
    }

    /// Panics with every fault of `value` against the schema called `name`.
    pub fn judge(&self, name: &str, value: &Value) {
        self.used.lock().expect("no panic while held").insert(format!("{name}.json"));
        let mut faults = Vec::new();
        self.value(self.find("", &format!("{name}.json")), value, name, &mut faults);
        assert!(faults.is_empty(), "{}\n{value:#}", faults.join("\n"));
    }

    /// The schemas that nothing was judged by.
    pub fn unused(&self) -> Vec<String> {
        let used = self.used.lock().expect("no panic while held");
        self.schemas.keys().filter(|name| *name != "defs.json" && !used.contains(*name)).cloned().collect()
    }

    /// What `reference`, read in `file`, points to.
    fn find(&self, file: &str, reference: &str) -> Place<'_> {
        let (other, pointer) = reference.split_once('#').unwrap_or((reference, ""));
        let name = if other.is_empty() { file } else { other };
        let (file, whole) = self.schemas.get_key_value(name).unwrap_or_else(|| panic!("there is no schema {name}"));
        let found = whole.pointer(pointer).unwrap_or_else(|| panic!("{name} has no {pointer}"));
        Place { file, schema: found.as_object().expect("a schema is an object") }
    }

    fn value(&self, place: Place<'_>, value: &Value, at: &str, faults: &mut Vec<String>) {
        for (keyword, rule) in place.schema {
            let good = match keyword.as_str() {
                "$schema" | "$id" | "$defs" | "title" | "description" | "properties" | "additionalProperties" => true,
                "$ref" => {
                    let other = self.find(place.file, rule.as_str().expect("a reference"));
                    self.value(other, value, at, faults);
                    true
                }
                "allOf" => {
                    for part in rule.as_array().expect("a list") {
                        let part = Place { schema: part.as_object().expect("a schema"), ..place };
                        // The parts of a whole: which keys are known is asked of all of them together, below.
                        self.parts(part, value, at, faults);
                    }
                    true
                }
                "type" => match rule {
                    Value::Array(any) => any.iter().any(|one| is_a(value, one)),
                    one => is_a(value, one),
                },
                "enum" => rule.as_array().expect("a list").contains(value),
                "const" => rule == value,
                "required" => {
                    let missing = rule.as_array().expect("a list").iter().filter_map(Value::as_str);
                    let missing: Vec<&str> = missing.filter(|key| value.get(key).is_none()).collect();
                    faults.extend(missing.iter().map(|key| format!("{at} lacks {key:?}")));
                    true
                }
                "items" => {
                    let item = Place { schema: rule.as_object().expect("a schema"), ..place };
                    for (n, one) in value.as_array().into_iter().flatten().enumerate() {
                        self.value(item, one, &format!("{at}[{n}]"), faults);
                    }
                    true
                }
                other => panic!("{}: the validator does not know the keyword {other:?}", place.file),
            };
            if !good {
                faults.push(format!("{at} is {value}, which is not {keyword} {rule}"));
            }
        }
        if !place.schema.contains_key("$ref") {
            self.keys(place, value, at, faults);
        }
    }

    /// Judges a value by one part of an `allOf`, but for the keys it does not know.
    fn parts(&self, part: Place<'_>, value: &Value, at: &str, faults: &mut Vec<String>) {
        let mut found = Vec::new();
        self.value(part, value, at, &mut found);
        found.retain(|fault| !fault.ends_with(UNKNOWN));
        faults.append(&mut found);
    }

    /// Judges the members of an object, each by the schema of its name.
    fn keys(&self, place: Place<'_>, value: &Value, at: &str, faults: &mut Vec<String>) {
        for (key, one) in value.as_object().into_iter().flatten() {
            match self.key(place, key) {
                Some(schema) => self.value(schema, one, &format!("{at}.{key}"), faults),
                None => faults.push(format!("{at} has {key:?}{UNKNOWN}")),
            }
        }
    }

    /// The schema of the member called `key`.
    fn key<'c>(&'c self, place: Place<'c>, key: &str) -> Option<Place<'c>> {
        let own = place.schema.get("properties").and_then(|all| all.get(key));
        let own = own.or_else(|| place.schema.get("additionalProperties"));
        if let Some(own) = own {
            return Some(Place { schema: own.as_object().expect("a schema"), ..place });
        }
        let parts = place.schema.get("allOf").and_then(Value::as_array).into_iter().flatten();
        let mut parts = parts.filter_map(|part| part.get("$ref").and_then(Value::as_str));
        parts.find_map(|reference| self.key(self.find(place.file, reference), key))
    }
}

const UNKNOWN: &str = ", which no schema names";

fn is_a(value: &Value, kind: &Value) -> bool {
    match kind.as_str().expect("a type's name") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("the validator does not know the type {other:?}"),
    }
}
