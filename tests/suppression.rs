//! `indicia suppression`: the list of addresses never to be mailed, by hand and by file.

use serde_json::Value;

use crate::both_dbs;
use crate::support::daemon::Home;
use crate::support::db::TestDb;

fn home(test: &TestDb) -> Home {
    match test.db.sqlite_path() {
        Some(_) => Home::new(&format!("[database]\nurl = \"{}\"\n", test.url)),
        None => Home::on_postgres(&test.url, ""),
    }
}

fn list(home: &Home, options: &[&str]) -> Vec<Value> {
    let ran = home.done(&[&["suppression", "list", "--json"], options].concat());
    ran.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

both_dbs! {
    async fn entries_are_added_listed_and_lifted_with_a_reason(test) {
        let home = home(&test);
        home.write("members.csv", "email,topics\nanna@mail.example,offers\n");
        home.done(&["import", "members", "members.csv"]);
        let added = home.json(&["suppression", "add", "Anna@mail.example", "--scope", "offers", "--source", "T-1"]);
        assert_eq!((&added["changed"], &added["reason"]), (&true.into(), &"manual".into()), "{added}");
        assert_eq!(home.json(&["suppression", "add", "anna@mail.example", "--scope", "offers"])["changed"], false);
        home.done(&["suppression", "add", "nobody@mail.example", "--reason", "complaint"]);

        let all = list(&home, &[]);
        assert_eq!(all.len(), 2, "{all:?}");
        let complaint = &list(&home, &["--reason", "complaint"])[0];
        assert_eq!((&complaint["email"], &complaint["scope"]), (&Value::Null, &"all".into()), "a hash, no address");
        assert_eq!(list(&home, &["--scope", "offers"])[0]["email"], "anna@mail.example");
        assert_eq!(list(&home, &["--limit", "1"]).len(), 1);

        let refused = home.run(&["suppression", "lift", "nobody@mail.example"]);
        assert_eq!(refused.code, 1);
        assert!(refused.stderr.contains("called our mail spam") && refused.stderr.contains("--force"), "{}", refused.stderr);
        home.done(&["suppression", "lift", "nobody@mail.example", "--force"]);
        home.done(&["suppression", "lift", "anna@mail.example", "--scope", "offers"]);
        assert_eq!(list(&home, &[]), Vec::<Value>::new());
        assert_eq!(home.run(&["suppression", "lift", "anna@mail.example"]).code, 1, "there is nothing to lift");
        assert_eq!(home.run(&["suppression", "add", "anna@mail.example", "--scope", "No Topic"]).code, 2);
    }
}

both_dbs! {
    async fn a_file_of_entries_is_taken_once_and_its_faults_are_listed(test) {
        let home = home(&test);
        home.write("members.csv", "email,topics\nanna@mail.example,offers\n");
        home.done(&["import", "members", "members.csv"]);
        let path = home.write("out.csv", "email,scope,reason,source\nANNA@mail.example,,,\nb@mail.example,offers,unsubscribe,crm\n\
            b@mail.example,offers,,\nno address,,,\nc@mail.example,,nonsense,\nd@mail.example,Big Deals,,\n");
        let taken = home.json(&["suppression", "import", "out.csv"]);
        let n = |key: &str| taken[key].as_i64().unwrap_or(-1);
        assert_eq!((n("read"), n("inserted"), n("unchanged"), n("rejected")), (6, 2, 1, 3), "{taken}");
        let rejected = std::fs::read_to_string(path.with_extension("csv.rejected.csv")).expect("a list of faults");
        for fault in ["email", "reason", "scope"] {
            assert!(rejected.contains(fault), "{rejected}");
        }
        assert_eq!(home.json(&["suppression", "import", "out.csv"])["unchanged"], 3, "the same file again");
        let shown = home.json(&["member", "show", "anna@mail.example"]);
        assert_eq!((&shown["suppressions"][0]["reason"], &shown["suppressions"][0]["source"]), (&"manual".into(), &"import".into()));
        assert_eq!(list(&home, &["--reason", "unsubscribe"])[0]["source"], "crm");
    }
}
