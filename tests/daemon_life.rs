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
