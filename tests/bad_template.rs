//! Bad templates: each gets its clear error with its place, and nothing else changes.

use std::path::Path;

use indicia::flow::publish::{PublishError, check_folder, publish};
use indicia::render::Fault;
use indicia::store::template;
use tempfile::TempDir;

use crate::support::db;

const GOOD: &str = "<html><body>\n<p>{{ member.first_name or \"friend\" }}, {{ points | number }}</p>\n\
    <a href=\"{{ unsubscribe_url() }}\">Unsubscribe</a>\n</body></html>\n";

fn folder(html: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("offer");
    std::fs::create_dir(&inner).unwrap();
    let write = |name: &str, text: &str| std::fs::write(inner.join(name), text).unwrap();
    write("template.toml", "class = \"marketing\"\ntopic = \"offers\"\ndefault_locale = \"en\"\n");
    write("en.toml", "subject = \"Hello\"\npreheader = \"There\"\n\n[texts]\nhello = \"Hello {name}\"\n");
    write("en.html", html);
    folder
}

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_indicia"))
}

fn faults(html: &str) -> Vec<Fault> {
    let folder = folder(html);
    match check_folder(folder.path(), program()) {
        Ok(_) => panic!("this was found good:\n{html}"),
        Err(PublishError::Faults(faults)) => faults,
        Err(other) => panic!("{other}"),
    }
}

/// Puts `line` into an otherwise good page, on its third line.
fn with(line: &str) -> String {
    GOOD.replace("<a href", &format!("{line}\n<a href"))
}

/// What is wrong with `line` has `code` and stands at `column` of line 3.
fn refused(line: &str, code: &str, column: usize) {
    let faults = faults(&with(line));
    let found = faults.iter().find(|fault| fault.code == code);
    let fault = found.unwrap_or_else(|| panic!("{line}: no {code} among {faults:?}"));
    assert!(fault.file.ends_with("offer/en.html"), "{fault}");
    assert_eq!((fault.line, fault.column), (3, column), "{line}: {fault}");
    assert!(!fault.what.is_empty() && !fault.fix.is_empty());
}

#[test]
fn what_a_template_names_must_be_there() {
    refused("<p>{{ nope }}</p>", "unknown_field", 7);
    refused("<p>Привет {{ member.frist_name }}</p>", "unknown_field", 21);
    refused("{{ t(\"bye\") }}", "unknown_text", 6);
    refused("{{ points | bogus }}", "syntax", 13);
    refused("{{ bogus() }}", "syntax", 4);
    refused("<p>{{ attr.city }}</p>", "undefined", 12);
    refused("{{ points / 0 }}", "render", 13);
}

#[test]
fn secrets_and_other_documents_stay_closed() {
    refused("{{ __tera_context }}", "forbidden", 4);
    refused("{{ get_env(name=\"HOME\") }}", "forbidden", 4);
    refused("{% include \"/etc/passwd\" %}", "refused_tag", 1);
    refused("{% extends \"en/text\" %}", "refused_tag", 1);
    refused("{% if true %}{% set_global x = 1 %}{% endif %}", "refused_tag", 14);
    refused("<script>1</script>", "script", 1);
    refused("a\u{2}L1\u{3}b", "control_character", 2);
}

#[test]
fn what_grows_without_end_is_refused_where_it_stands() {
    refused("{% set a = points ~ points %}", "growing_text", 19);
    refused("{% set a = [points, points] %}", "growing_text", 12);
    refused("{% set a %}x{% endset %}", "growing_text", 1);
    refused("{% for a in range(end=9) %}{% for b in range(end=9) %}{% endfor %}{% endfor %}", "nested_range", 40);
    refused("{{ [x for x in range(end=9)] }}", "comprehension", 7);
    let deep = "{% for a in products() %}{% for b in products() %}{% for c in products() %}{% endfor %}{% endfor %}{% endfor %}";
    refused(deep, "nested_loops", 51);
}

#[test]
fn dashes_that_cut_white_space_change_nothing() {
    refused("{%- include \"/etc/passwd\" -%}", "refused_tag", 1);
    refused("{{- nope -}}", "unknown_field", 5);
    refused("{%- set a = points ~ points -%}", "growing_text", 20);
    let one = "{%- set n = 1 -%}{#- {% for x in y %} -#}{%- for a in products() -%}{%- if n -%}{{- a.name -}}{%- endif -%}{%- endfor -%}";
    let folder = folder(&with(&one.repeat(4)));
    check_folder(folder.path(), program()).unwrap_or_else(|error| panic!("four loops, each closed: {error}"));
}

#[test]
fn a_runaway_ends_in_the_trial_and_says_so() {
    let ended = |line: &str| {
        let faults = faults(&with(line));
        assert_eq!(faults.len(), 1, "{faults:?}");
        faults[0].what.clone()
    };
    // Within every rule, and still endless: the processor's limit ends it.
    let work = "{{ \"LETTERS\" | lower | upper | lower | upper | lower | upper | lower | upper | wordcount }}"
        .replace("LETTERS", &"a b ".repeat(100_000));
    let what = ended(&format!(
        "{{% set ps = products(n=24) %}}{{% for a in range(end=200) %}}{{% for b in ps %}}{work}{{% endfor %}}{{% endfor %}}"
    ));
    assert!(what.contains("did not end within"), "{what}");
    let what = ended(
        "{% set ps = products(n=24) %}{% for a in range(end=200) %}{% for b in ps %}0123456789012345678901234567890123456789012345678901234567890123456789{% endfor %}{% endfor %}",
    );
    assert!(what.contains("longer than"), "{what}");
    assert!(ended("{% for a in range(end=100000) %}{% endfor %}").contains("at most 200"));
    let bomb = "{{ \"aaaaaaaaaa\" PIPES }}".replace("PIPES", &"| replace(from=\"a\", to=\"aaaaaaaaaa\")".repeat(12));
    assert!(ended(&bomb).contains("at most"));
}

#[test]
fn marketing_without_a_way_out_is_refused() {
    let faults = faults(&GOOD.replace("{{ unsubscribe_url() }}", "https://shop.example/"));
    assert_eq!(faults[0].code, "no_unsubscribe");
    assert!(faults[0].fix.contains("unsubscribe_url()"));
}

#[tokio::test]
async fn one_bad_template_of_two_changes_nothing() {
    let test = db::sqlite().await;
    let folder = folder(GOOD);
    let checked = check_folder(folder.path(), program()).unwrap();
    publish(&test.db, &checked, 1).await.unwrap();
    let versions = async || template::list(test.db.reader().await.unwrap().conn()).await.unwrap();
    let before = versions().await;
    assert_eq!(before.len(), 1);

    let second = folder.path().join("second");
    std::fs::create_dir(&second).unwrap();
    for file in ["template.toml", "en.toml"] {
        std::fs::copy(folder.path().join("offer").join(file), second.join(file)).unwrap();
    }
    std::fs::write(second.join("en.html"), with("{{ nope }}")).unwrap();
    std::fs::write(folder.path().join("offer/en.html"), with("new")).unwrap();
    assert!(check_folder(folder.path(), program()).is_err());
    assert_eq!(versions().await, before);
}
