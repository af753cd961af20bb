//! A daemon's life: ready in one line, alone on its file, drained by SIGTERM, restarted after a kill.

use crate::support::daemon::Home;

#[test]
fn a_daemon_is_alone_on_its_file_and_can_be_followed_by_another() {
    let home = Home::new("");
    let first = home.start();
    assert_eq!(first.ready["pid"], first.pid());
    for listener in ["http", "admin"] {
        assert!(first.url(listener).starts_with("http://127.0.0.1:"), "{}", first.ready);
    }
    let second = home.run(&["serve"]);
    assert_eq!((second.code, second.stdout.as_str()), (1, ""), "{}", second.stderr);
    assert!(second.stderr.contains(&format!("process {} already", first.pid())), "{}", second.stderr);
    home.done(&["campaign", "list"]);
    first.kill();
    let third = home.start();
    let log = third.log_text();
    assert_eq!(third.stop(), 0, "{log}");
    assert_eq!(home.start().stop(), 0);
}

#[test]
fn who_sends_keeps_off_one_processor() {
    let processors = std::thread::available_parallelism().unwrap().get();
    if processors == 1 {
        eprintln!("NOT RUN: there is a single processor");
        return;
    }
    let home = Home::new("");
    let daemon = home.start();
    let tasks = format!("/proc/{}/task", daemon.pid());
    let allowed = |task: &str| {
        let status = std::fs::read_to_string(format!("{tasks}/{task}/status")).unwrap_or_default();
        let field =
            |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(|rest| rest.trim().to_owned());
        (field("Name:").unwrap_or_default(), field("Cpus_allowed_list:").unwrap_or_default())
    };
    let all = allowed(&daemon.pid().to_string()).1;
    let begun = std::time::Instant::now();
    loop {
        let tasks =
            std::fs::read_dir(&tasks).unwrap().flatten().map(|task| allowed(task.file_name().to_str().unwrap()));
        let ours: Vec<String> =
            tasks.filter(|(name, _)| name.starts_with("tokio")).map(|(_, allowed)| allowed).collect();
        let kept_off: Vec<&String> = ours.iter().filter(|allowed| **allowed != all).collect();
        // The workers and the writer of turns; what blocks runs everywhere.
        if kept_off.len() == processors && ours.len() > processors {
            assert!(kept_off.iter().all(|allowed| *allowed == kept_off[0]), "{ours:?}");
            break;
        }
        assert!(begun.elapsed().as_secs() < 20, "of {all}: {ours:?}");
        std::thread::yield_now();
    }
    assert_eq!(daemon.stop(), 0);
}
