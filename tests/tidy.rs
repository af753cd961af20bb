//! The rules of the house, read off the sources: imports go down, SQL and time enter by their doors, nothing is long,
//! nothing is global.

use std::path::{Path, PathBuf};

/// The rooms, and which others each may see.
const ROOMS: [(&str, &[&str]); 10] = [
    ("base", &[]),
    ("domain", &["base"]),
    ("store", &["base", "domain"]),
    ("queue", &["base", "domain", "store"]),
    ("render", &["base", "domain"]),
    ("smtp", &["base", "domain"]),
    ("inbound", &["base", "domain", "smtp"]),
    ("flow", &["base", "domain", "store", "queue", "render", "smtp", "inbound"]),
    ("web", &["base", "domain", "store", "queue", "render", "smtp", "inbound", "flow"]),
    ("app", &["base", "domain", "store", "queue", "render", "smtp", "inbound", "flow", "web"]),
];
/// What pure decisions do without.
const NOT_IN_DOMAIN: [&str; 8] =
    ["tokio", "sqlx", "axum", "std::fs", "std::io", "std::process", "std::thread", "tracing::"];
/// What asks for the time of day or for chance, and the one door for it.
const CLOCKS: [&str; 5] = ["SystemTime::now", "Timestamp::now", "Zoned::now", "rand::rng()", "thread_rng"];
const CLOCK_DOOR: &str = "src/base/world.rs";
/// Stopwatches, which measure how long our own work takes and decide no mail's fate.
const STOPWATCHES: [&str; 4] = ["src/base/metrics.rs", "src/queue/writer.rs", "src/flow/plan.rs", "src/app/ticks.rs"];
/// What dispatch and its couriers share: the bounded channel between them, and the rate they keep together.
const SHARED_BY_STEPS: [&str; 3] = ["editions", "gate", "handover"];
const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 600;
/// A scripted server or a table of cases may be longer.
const TEST_FILE_LINES_MAX: usize = 800;

/// A source file: its path from the crate's folder, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn of(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    /// The room it stands in; `None` for `lib.rs` and `main.rs`.
    fn room(&self) -> Option<&str> {
        self.path.strip_prefix("src/")?.split_once('/').map(|(room, _)| room)
    }

    /// Its lines of code with their numbers, without comments, up to its tests.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(nth, line)| (nth + 1, line));
        lines
            .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<PathBuf> = vec![root.join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("read a folder of sources").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).expect("under the root").display().to_string();
                found.push(Source { path: name, text: std::fs::read_to_string(&path).expect("read a source") });
            }
        }
    }
    assert!(!found.is_empty(), "no sources under {folder}");
    found
}

/// Applies a rule to every source of a folder, and shows everything that breaks it.
fn check(folder: &str, rule: fn(&Source) -> Vec<String>) {
    let broken: Vec<String> = sources(folder).iter().flat_map(rule).collect();
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

/// Every room named after `crate::`, groups in braces included.
fn rooms_named(source: &Source) -> Vec<(usize, String)> {
    let code: Vec<(usize, &str)> = source.code().collect();
    let mut named = Vec::new();
    for (nth, (line_no, line)) in code.iter().enumerate() {
        for (at, _) in line.match_indices("crate::") {
            let rest = &line[at + "crate::".len()..];
            if rest.starts_with('{') {
                let group: String = code[nth..].iter().map(|(_, line)| *line).collect();
                let group = &group[group.find("crate::{").expect("it stands in the first line") + 8..];
                named.extend(heads(group).into_iter().map(|head| (*line_no, head)));
            } else {
                named.push((*line_no, word(rest)));
            }
        }
    }
    named.retain(|(_, name)| ROOMS.iter().any(|(room, _)| room == name));
    named
}

/// The first words of a brace group's entries: `base::World, store::{Db, Tx}}` has `base` and `store`.
fn heads(group: &str) -> Vec<String> {
    let (mut depth, mut heads, mut fresh) = (0, Vec::new(), true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if fresh && c.is_alphabetic() => {
                heads.push(word(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    heads
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn imports_go_down(source: &Source) -> Vec<String> {
    let Some(room) = source.room() else { return Vec::new() };
    let Some((_, sees)) = ROOMS.iter().find(|(name, _)| *name == room) else {
        return vec![format!("{}: {room} is no room of the house", source.path)];
    };
    let named = rooms_named(source).into_iter().filter(|(_, other)| other != room && !sees.contains(&other.as_str()));
    named.map(|(line, other)| format!("{}:{line}: {room} must not see {other}", source.path)).collect()
}

/// Steps of the way hand over through tables: `flow::x` never names `flow::y`.
fn steps_do_not_call_each_other(source: &Source) -> Vec<String> {
    let Some(rest) = source.path.strip_prefix("src/flow/").filter(|rest| *rest != "mod.rs") else { return Vec::new() };
    let (step, above) = match rest.split_once('/') {
        Some((step, "mod.rs")) => (step, "super::"),
        Some((step, _)) => (step, "super::super::"),
        None => (rest.trim_end_matches(".rs"), "super::"),
    };
    let mut broken = Vec::new();
    for (line_no, line) in source.code() {
        for door in ["crate::flow::", above] {
            for (at, _) in line.match_indices(door) {
                let other = word(&line[at + door.len()..]);
                if !["", "super", step].contains(&other.as_str()) && !SHARED_BY_STEPS.contains(&other.as_str()) {
                    broken.push(format!("{}:{line_no}: step {step} must not call step {other}", source.path));
                }
            }
        }
    }
    broken
}

fn the_domain_is_pure(source: &Source) -> Vec<String> {
    if source.room() != Some("domain") {
        return Vec::new();
    }
    let named = source.code().flat_map(|(line_no, line)| {
        NOT_IN_DOMAIN.iter().filter(|name| line.contains(**name)).map(move |name| (line_no, *name))
    });
    named.map(|(line_no, name)| format!("{}:{line_no}: the domain must not use {name}", source.path)).collect()
}

fn is_sql(line: &str) -> bool {
    let after = |verb: &str, then: &str| {
        line.find(verb).is_some_and(|at| line[at + verb.len()..].split_whitespace().any(|word| word == then))
    };
    line.contains("sqlx::query")
        || line.contains("sqlx::raw_sql")
        || line.contains("insert into ")
        || line.contains("delete from ")
        || after("\"select ", "from")
        || after("\"update ", "set")
}

fn sql_stands_in_the_store(source: &Source) -> Vec<String> {
    if matches!(source.room(), Some("store" | "queue")) {
        return Vec::new();
    }
    let lines = source.code().filter(|(_, line)| is_sql(line));
    lines.map(|(line_no, _)| format!("{}:{line_no}: SQL stands only in store and queue", source.path)).collect()
}

fn time_and_chance_enter_by_their_doors(source: &Source) -> Vec<String> {
    let (is_door, is_stopwatch) = (source.path == CLOCK_DOOR, STOPWATCHES.contains(&source.path.as_str()));
    let asks = |line: &str| {
        (!is_door && CLOCKS.iter().any(|clock| line.contains(clock)))
            || (!is_stopwatch && line.contains("Instant::now"))
    };
    let lines = source.code().filter(|(_, line)| asks(line));
    lines.map(|(line_no, _)| format!("{}:{line_no}: time and chance enter through base::World", source.path)).collect()
}

fn nothing_is_global(source: &Source) -> Vec<String> {
    let global = |line: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix("pub ").unwrap_or(line);
        // An allocator cannot be passed in.
        (line.starts_with("static ") && !line.starts_with("static ALLOCATOR:"))
            || line.contains("thread_local!")
            || line.contains("LazyLock")
    };
    let lines = source.code().filter(|(_, line)| global(line));
    lines.map(|(line_no, _)| format!("{}:{line_no}: no statics: pass it in", source.path)).collect()
}

/// Whether a line begins a function with a body.
fn begins_function(line: &str) -> bool {
    let mut words = line.split_whitespace().skip_while(|word| {
        word.starts_with("pub") || ["async", "const", "unsafe", "extern", "\"C\"", "in", "super)"].contains(word)
    });
    words.next() == Some("fn")
}

/// Functions fit a screen. The sources are formatted, so a function ends with the brace under its first letter.
fn functions_fit_a_screen(source: &Source) -> Vec<String> {
    let lines: Vec<&str> = source.text.lines().collect();
    let mut broken = Vec::new();
    for (start, line) in lines.iter().enumerate().filter(|(_, line)| begins_function(line)) {
        let end = format!("{}}}", &line[..line.len() - line.trim_start().len()]);
        let Some(length) = lines[start..].iter().position(|line| *line == end) else { continue };
        if length + 1 > FUNCTION_LINES_MAX && !lines[start].trim_end().ends_with([';', '}']) {
            broken.push(format!("{}:{}: a function of {} lines", source.path, start + 1, length + 1));
        }
    }
    broken
}

fn files_have_one_subject(source: &Source) -> Vec<String> {
    let lines = source.text.lines().count();
    let most = if source.path.starts_with("src/") { FILE_LINES_MAX } else { TEST_FILE_LINES_MAX };
    if lines <= most {
        return Vec::new();
    }
    vec![format!("{}: {lines} lines, more than {most}: give a subject its own file", source.path)]
}

#[test]
fn imports_go_down_only() {
    check("src", imports_go_down);
    let bad = Source::of("src/render/x.rs", "use crate::base::World;\nuse crate::{domain::a, store::{Db, Tx}};\n");
    assert_eq!(imports_go_down(&bad), ["src/render/x.rs:2: render must not see store"]);
    let bad = Source::of("src/base/x.rs", "/// crate::store is fine here\nfn f() { crate::app::cli::main() }\n");
    assert_eq!(imports_go_down(&bad), ["src/base/x.rs:2: base must not see app"]);
}

#[test]
fn steps_hand_over_through_tables() {
    check("src", steps_do_not_call_each_other);
    let bad = |path, text| steps_do_not_call_each_other(&Source::of(path, text)).len();
    assert_eq!(bad("src/flow/plan.rs", "use super::courier;\nuse crate::flow::plan::x;\n"), 1);
    assert_eq!(bad("src/flow/intake/row.rs", "use super::csv;\nuse crate::flow::learn;\nuse super::super::plan;\n"), 2);
}

#[test]
fn the_domain_does_no_io() {
    check("src", the_domain_is_pure);
    assert_eq!(the_domain_is_pure(&Source::of("src/domain/x.rs", "use std::fs::File;\n")).len(), 1);
}

#[test]
fn sql_has_its_rooms() {
    check("src", sql_stands_in_the_store);
    for line in ["sqlx::query(SQL)", "\"select id from member\"", "\"update member set x = 1\"", "\"insert into t\""] {
        assert_eq!(sql_stands_in_the_store(&Source::of("src/flow/x.rs", line)).len(), 1, "{line}");
    }
    assert_eq!(sql_stands_in_the_store(&Source::of("src/flow/x.rs", "say(\"select a segment\")")).len(), 0);
}

#[test]
fn clocks_and_dice_have_their_doors() {
    check("src", time_and_chance_enter_by_their_doors);
    assert_eq!(time_and_chance_enter_by_their_doors(&Source::of("src/web/x.rs", "let t = Instant::now();")).len(), 1);
}

#[test]
fn there_are_no_globals() {
    check("src", nothing_is_global);
    assert_eq!(
        nothing_is_global(&Source::of("src/web/x.rs", "pub static X: u8 = 1;\nconst Y: &'static str = \"\";")).len(),
        1
    );
}

#[test]
fn nothing_is_long() {
    check("src", functions_fit_a_screen);
    check("src", files_have_one_subject);
    check("tests", files_have_one_subject);
    let long = format!(
        "impl X {{\n    pub async fn f(\n        a: u8,\n    ) {{\n{}    }}\n}}\n",
        "        f();\n".repeat(70)
    );
    assert_eq!(functions_fit_a_screen(&Source::of("src/x.rs", &long)), ["src/x.rs:2: a function of 74 lines"]);
    assert_eq!(files_have_one_subject(&Source::of("src/x.rs", &"\n".repeat(601))).len(), 1);
}
