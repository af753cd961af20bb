//! The SMTP client against a scripted server: at every step, what failed, whether the connection lives on, and whether
//! the final dot may have left.

use std::time::Duration;

use indicia::smtp::{
    Connection, Credentials, Envelope, Failure, Finished, Kind, Opened, Route, Stage, Timeouts, Tls, TlsConfigs,
};

use crate::support::sink::{Act, At, Fault, Setup, Sink, SinkTls};

const MAIL: &[u8] = b"Message-ID: <1@us.example>\r\nSubject: hello\r\n\r\nA line.\r\n";
/// A step's wait where the server is expected to hang.
const SHORT: Duration = Duration::from_millis(60);

fn route(sink: &Sink) -> Route {
    Route {
        hello_name: "us.example".to_owned(),
        timeouts: Timeouts::all(Duration::from_secs(20)),
        ..Route::new("test", "127.0.0.1", sink.port(), Tls::None)
    }
}

/// Impatient at one step alone: on a busy machine the others take their time.
fn hasty(sink: &Sink, stage: Stage) -> Route {
    let mut route = route(sink);
    let wait = match stage {
        Stage::Banner => &mut route.timeouts.banner,
        Stage::Hello => &mut route.timeouts.hello,
        Stage::Mail => &mut route.timeouts.mail,
        Stage::Rcpt => &mut route.timeouts.rcpt,
        Stage::Data => &mut route.timeouts.data,
        Stage::Body => &mut route.timeouts.block,
        Stage::Dot => &mut route.timeouts.dot,
        other => panic!("no test hangs at {other}"),
    };
    *wait = SHORT;
    route
}

async fn open(route: &Route) -> Result<Connection, Failure> {
    Connection::open(route, &TlsConfigs::none()).await
}

fn to(recipient: &str) -> Envelope<'_> {
    Envelope::new("b-1@bounce.example", recipient).expect("a good envelope")
}

/// Content and dot.
async fn deliver(connection: &mut Connection, body: &[u8], next: Option<&Envelope<'_>>) -> Finished {
    match connection.send_content(body).await {
        Ok(()) => connection.finish(next).await,
        Err(failure) => Finished { reply: Err(failure), next: None },
    }
}

async fn lockstep() -> Sink {
    Sink::with(Setup { pipelining: false, ..Setup::default() }).await
}

/// The stage and reply code of an envelope that was refused.
fn refusal(opened: Result<Opened, Failure>) -> (Stage, u16) {
    match opened {
        Ok(Opened::Refused { stage, reply }) => (stage, reply.code),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[tokio::test]
async fn mails_follow_each_other_with_the_next_envelope_behind_the_dot() {
    let sink = Sink::with(Setup { keep_commands: true, ..Setup::default() }).await;
    let mut connection = open(&route(&sink)).await.unwrap();
    assert!(connection.capabilities().pipelining);
    assert_eq!(connection.capabilities().size, Some(10_485_760));
    assert_eq!(connection.open_envelope(&to("a@x.example")).await.unwrap(), Opened::Ready);
    let finished = deliver(&mut connection, MAIL, Some(&to("b@x.example"))).await;
    let reply = finished.reply.unwrap();
    assert_eq!((reply.code, reply.enhanced, reply.text.as_str()), (250, Some((2, 0, 0)), "Ok: queued as 1"));
    assert_eq!(finished.next.unwrap().unwrap(), Opened::Ready);
    assert!(deliver(&mut connection, MAIL, None).await.reply.is_ok());
    assert!(connection.is_alive());
    connection.quit().await.unwrap();
    assert_eq!(sink.by_recipient().len(), 2);
    assert_eq!(sink.accepted()[0].from, "b-1@bounce.example");
    assert_eq!(sink.by_message_id()["<1@us.example>"], 2);
    assert!(sink.accepted().iter().all(|mail| mail.replied));
    assert_eq!(sink.commands().len(), 1 + 3 + 3 + 1, "{:?}", sink.commands());
}

#[tokio::test]
async fn without_pipelining_no_command_outruns_its_reply() {
    for sink in [lockstep().await, Sink::with(Setup { esmtp: false, pipelining: false, ..Setup::default() }).await] {
        let mut connection = open(&route(&sink)).await.unwrap();
        assert!(!connection.capabilities().pipelining);
        connection.open_envelope(&to("a@x.example")).await.unwrap();
        let finished = deliver(&mut connection, MAIL, Some(&to("b@x.example"))).await;
        assert!(finished.reply.is_ok() && finished.next.unwrap().unwrap() == Opened::Ready);
        deliver(&mut connection, MAIL, None).await.reply.unwrap();
        assert_eq!((sink.count(), sink.impatient()), (2, 0));
    }
}

#[tokio::test]
async fn a_route_may_forgo_pipelining() {
    let sink = Sink::start().await;
    let connection = open(&Route { pipelining: false, ..route(&sink) }).await.unwrap();
    assert!(!connection.capabilities().pipelining);
}

#[tokio::test]
async fn refusals_before_the_dot_leave_the_connection_clean() {
    for pipelining in [true, false] {
        for (at, stage) in [(At::Mail, Stage::Mail), (At::Rcpt, Stage::Rcpt), (At::Data, Stage::Data)] {
            let sink = Sink::with(Setup { pipelining, ..Setup::default() }).await;
            sink.script(Fault::say(at, "550 5.1.1 no").times(1));
            sink.script(Fault::say(at, "451 4.7.1 later").times(1));
            let mut connection = open(&route(&sink)).await.unwrap();
            assert_eq!(refusal(connection.open_envelope(&to("a@x.example")).await), (stage, 550));
            assert!(connection.is_clean());
            assert_eq!(refusal(connection.open_envelope(&to("a@x.example")).await), (stage, 451));
            assert_eq!(connection.open_envelope(&to("b@x.example")).await.unwrap(), Opened::Ready);
            deliver(&mut connection, MAIL, None).await.reply.unwrap();
            assert_eq!((sink.count(), sink.connections()), (1, 1), "{stage}, pipelining {pipelining}");
        }
    }
}

#[tokio::test]
async fn a_354_without_a_recipient_is_ended_by_a_lone_dot() {
    let sink = Sink::with(Setup { lax_data: true, ..Setup::default() }).await;
    let mut connection = open(&route(&sink)).await.unwrap();
    assert_eq!(refusal(connection.open_envelope(&to("a+rcpt-550@x.example")).await), (Stage::Rcpt, 550));
    assert!(connection.is_clean());
    connection.open_envelope(&to("b@x.example")).await.unwrap();
    deliver(&mut connection, MAIL, None).await.reply.unwrap();
    assert_eq!(sink.by_recipient().into_keys().collect::<Vec<_>>(), ["b@x.example"]);
}

#[tokio::test]
async fn a_refused_dot_is_definite_and_the_next_envelope_stands() {
    for pipelining in [true, false] {
        let sink = Sink::with(Setup { pipelining, ..Setup::default() }).await;
        let mut connection = open(&route(&sink)).await.unwrap();
        connection.open_envelope(&to("a+dot-451@x.example")).await.unwrap();
        let finished = deliver(&mut connection, MAIL, Some(&to("b+dot-550@x.example"))).await;
        let failure = finished.reply.unwrap_err();
        assert_eq!((failure.stage, failure.reply().map(|reply| reply.code)), (Stage::Dot, Some(451)));
        assert!(failure.dot_written && !failure.in_doubt());
        assert_eq!(finished.next.unwrap().unwrap(), Opened::Ready);
        let finished = deliver(&mut connection, MAIL, Some(&to("c@x.example"))).await;
        assert_eq!(finished.reply.unwrap_err().reply().map(|reply| reply.code), Some(550));
        deliver(&mut connection, MAIL, None).await.reply.unwrap();
        assert_eq!((sink.count(), sink.connections()), (1, 1));
    }
}

#[tokio::test]
async fn the_mail_behind_a_dot_may_be_refused_alone() {
    let sink = Sink::start().await;
    let mut connection = open(&route(&sink)).await.unwrap();
    connection.open_envelope(&to("a@x.example")).await.unwrap();
    let finished = deliver(&mut connection, MAIL, Some(&to("b+rcpt-grey@x.example"))).await;
    assert!(finished.reply.is_ok());
    assert_eq!(refusal(finished.next.unwrap()), (Stage::Rcpt, 451));
    assert_eq!(connection.open_envelope(&to("b+rcpt-grey@x.example")).await.unwrap(), Opened::Ready);
    deliver(&mut connection, MAIL, None).await.reply.unwrap();
    assert_eq!(sink.count(), 2);
}

#[tokio::test]
async fn a_421_closes_wherever_it_comes() {
    let sink = Sink::start().await;
    sink.script(Fault::say(At::Banner, "421 4.3.2 busy").times(1));
    let failure = open(&route(&sink)).await.err().unwrap();
    assert_eq!(failure.stage, Stage::Banner);
    assert!(failure.reply().unwrap().is_421());
    for (at, stage) in [(At::Mail, Stage::Mail), (At::Rcpt, Stage::Rcpt), (At::Data, Stage::Data)] {
        sink.behave();
        sink.script(Fault::say(at, "421 4.3.2 busy"));
        let mut connection = open(&route(&sink)).await.unwrap();
        let failure = connection.open_envelope(&to("a@x.example")).await.unwrap_err();
        assert_eq!((failure.stage, failure.dot_written), (stage, false));
        assert!(failure.reply().unwrap().is_421() && !connection.is_clean());
    }
    sink.behave();
    let mut connection = open(&route(&sink)).await.unwrap();
    connection.open_envelope(&to("a+dot-421@x.example")).await.unwrap();
    let finished = deliver(&mut connection, MAIL, Some(&to("b@x.example"))).await;
    let failure = finished.reply.unwrap_err();
    assert!(failure.reply().unwrap().is_421() && failure.dot_written && !failure.in_doubt());
    let next = finished.next.unwrap().unwrap_err();
    assert!(!next.dot_written && next.reply().unwrap().is_421());
    assert!(!connection.is_clean());
}

#[tokio::test]
async fn enough_mails_for_one_connection_is_a_421_to_the_next_alone() {
    let sink = Sink::with(Setup { mails_per_connection: 2, ..Setup::default() }).await;
    let mut connection = open(&route(&sink)).await.unwrap();
    connection.open_envelope(&to("a@x.example")).await.unwrap();
    assert_eq!(deliver(&mut connection, MAIL, Some(&to("b@x.example"))).await.next.unwrap().unwrap(), Opened::Ready);
    let finished = deliver(&mut connection, MAIL, Some(&to("c@x.example"))).await;
    assert!(finished.reply.is_ok(), "the second mail was taken");
    let failure = finished.next.unwrap().unwrap_err();
    assert!(failure.stage == Stage::Mail && failure.reply().unwrap().is_421());
    assert_eq!(sink.count(), 2);
}

#[tokio::test]
async fn a_connection_lost_before_the_dot_was_answered_is_in_doubt_only_after_the_dot() {
    for (recipient, taken) in [("a+dot-close@x.example", 0), ("a+dot-takeclose@x.example", 1)] {
        let sink = Sink::start().await;
        let mut connection = open(&route(&sink)).await.unwrap();
        connection.open_envelope(&to(recipient)).await.unwrap();
        let finished = deliver(&mut connection, MAIL, Some(&to("b@x.example"))).await;
        let failure = finished.reply.unwrap_err();
        assert!(failure.stage == Stage::Dot && failure.dot_written && failure.in_doubt(), "{failure:?}");
        assert!(matches!(failure.kind, Kind::Lost(_)) && !failure.is_missing_reply());
        assert!(!finished.next.unwrap().unwrap_err().dot_written);
        assert_eq!(sink.count(), taken);
        assert!(sink.accepted().iter().all(|mail| !mail.replied));
    }
}

#[tokio::test]
async fn a_connection_lost_within_the_body_never_wrote_the_dot() {
    let sink = Sink::start().await;
    sink.script(Fault::new(At::Body, Act::Close));
    let mut connection = open(&route(&sink)).await.unwrap();
    connection.open_envelope(&to("a@x.example")).await.unwrap();
    // More than any socket buffer holds: the server is gone long before the end is reached.
    let body = b"0123456789012345678901234567890123456789012345678901234567890123456789\r\n".repeat(500_000);
    let finished = deliver(&mut connection, &body, Some(&to("b@x.example"))).await;
    let failure = finished.reply.unwrap_err();
    assert_eq!((failure.stage, failure.dot_written), (Stage::Body, false), "{failure:?}");
    assert!(!connection.is_clean());
    assert_eq!(sink.count(), 0);
}

#[tokio::test]
async fn a_body_that_the_server_does_not_read_times_out_before_its_dot() {
    let sink = Sink::start().await;
    sink.script(Fault::new(At::Body, Act::Hang));
    let mut connection = open(&hasty(&sink, Stage::Body)).await.unwrap();
    connection.open_envelope(&to("a@x.example")).await.unwrap();
    let body = b"0123456789012345678901234567890123456789012345678901234567890123456789\r\n".repeat(500_000);
    let failure = deliver(&mut connection, &body, None).await.reply.unwrap_err();
    assert!(matches!(failure.kind, Kind::TimedOut), "{failure:?}");
    assert_eq!((failure.stage, failure.dot_written), (Stage::Body, false));
}

#[tokio::test]
async fn every_step_has_its_own_patience() {
    for (at, stage) in [(At::Banner, Stage::Banner), (At::Hello, Stage::Hello)] {
        let sink = Sink::start().await;
        sink.script(Fault::new(at, Act::Hang));
        let failure = open(&hasty(&sink, stage)).await.err().unwrap();
        assert!(failure.stage == stage && matches!(failure.kind, Kind::TimedOut), "{failure:?}");
    }
    for (at, stage) in [(At::Mail, Stage::Mail), (At::Rcpt, Stage::Rcpt), (At::Data, Stage::Data)] {
        let sink = Sink::start().await;
        sink.script(Fault::new(at, Act::Hang));
        let mut connection = open(&hasty(&sink, stage)).await.unwrap();
        let failure = connection.open_envelope(&to("a@x.example")).await.unwrap_err();
        assert!(failure.stage == stage && matches!(failure.kind, Kind::TimedOut), "{failure:?}");
        assert!(failure.is_missing_reply() && !failure.dot_written && !connection.is_clean());
    }
    for (recipient, taken) in [("a+dot-hang@x.example", 0), ("a+dot-takehang@x.example", 1)] {
        let sink = Sink::start().await;
        let mut connection = open(&hasty(&sink, Stage::Dot)).await.unwrap();
        connection.open_envelope(&to(recipient)).await.unwrap();
        let failure = deliver(&mut connection, MAIL, None).await.reply.unwrap_err();
        assert!(matches!(failure.kind, Kind::TimedOut) && failure.in_doubt(), "{failure:?}");
        assert_eq!(sink.count(), taken);
    }
}

#[tokio::test]
async fn a_slow_server_is_waited_for() {
    let sink = Sink::with(Setup { delay: Duration::from_millis(5), ..Setup::default() }).await;
    sink.script(Fault::new(At::Dot, Act::Wait(Duration::from_millis(80))));
    let patient = Timeouts { dot: Duration::from_secs(20), ..Timeouts::all(Duration::from_secs(10)) };
    let mut connection = open(&Route { timeouts: patient, ..route(&sink) }).await.unwrap();
    connection.open_envelope(&to("a@x.example")).await.unwrap();
    deliver(&mut connection, MAIL, None).await.reply.unwrap();
}

#[tokio::test]
async fn a_server_that_is_away_is_a_failure_to_connect_until_it_is_back() {
    let sink = Sink::start().await;
    let mut connection = open(&route(&sink)).await.unwrap();
    sink.away().await;
    let failure = open(&route(&sink)).await.err().unwrap();
    assert!(failure.stage == Stage::Connect && matches!(failure.kind, Kind::Lost(_)));
    let failure = connection.open_envelope(&to("a@x.example")).await.unwrap_err();
    assert!(failure.stage == Stage::Mail && !failure.dot_written);
    sink.back().await;
    open(&route(&sink)).await.unwrap().quit().await.unwrap();
}

#[tokio::test]
async fn an_idle_connection_that_was_closed_is_noticed_without_a_round_trip() {
    let sink = Sink::start().await;
    let mut connection = open(&route(&sink)).await.unwrap();
    assert!(connection.is_alive());
    connection.rset().await.unwrap();
    sink.away().await;
    let noticed = async {
        while connection.is_alive() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), noticed).await.expect("the close is noticed");
}

#[tokio::test]
async fn dots_arrive_as_they_were_written() {
    for pipelining in [true, false] {
        let sink = Sink::with(Setup { keep_bodies: true, pipelining, ..Setup::default() }).await;
        let mut connection = open(&route(&sink)).await.unwrap();
        let bodies: [&[u8]; 3] = [b"A: b\r\n\r\n.\r\n..\r\n.x\r\nMAIL FROM:<x>\r\n", b".A: b\r\n\r\n.\r\n", MAIL];
        connection.open_envelope(&to("a@x.example")).await.unwrap();
        for body in bodies {
            let finished = deliver(&mut connection, body, Some(&to("a@x.example"))).await;
            finished.reply.unwrap();
        }
        deliver(&mut connection, b"A: b\r\n\r\nno line end", None).await.reply.unwrap();
        let mails: Vec<Vec<u8>> = sink.accepted().into_iter().filter_map(|mail| mail.mail).collect();
        assert_eq!(mails[..3], bodies);
        assert_eq!(mails[3], b"A: b\r\n\r\nno line end\r\n");
    }
}

#[tokio::test]
async fn a_body_with_a_bare_line_end_is_refused_before_a_byte_leaves() {
    for body in [&b"a\r\n.\nMAIL FROM:<evil@x.example>\r\n"[..], b"a\rb\r\n", b"a\n.\r\nb", b""] {
        let sink = Sink::start().await;
        let mut connection = open(&route(&sink)).await.unwrap();
        connection.open_envelope(&to("a@x.example")).await.unwrap();
        let finished = deliver(&mut connection, body, Some(&to("b@x.example"))).await;
        let failure = finished.reply.unwrap_err();
        assert!(matches!(failure.kind, Kind::Unfit(_)) && failure.stage == Stage::Body && !failure.dot_written);
        assert!(finished.next.is_none() && !connection.is_clean());
        connection.abandon();
        assert_eq!(sink.count(), 0);
    }
}

#[tokio::test]
async fn an_abandoned_mail_is_never_taken() {
    let sink = Sink::start().await;
    let mut connection = open(&route(&sink)).await.unwrap();
    connection.open_envelope(&to("a@x.example")).await.unwrap();
    connection.abandon();
    let mut other = open(&route(&sink)).await.unwrap();
    other.open_envelope(&to("b@x.example")).await.unwrap();
    deliver(&mut other, MAIL, None).await.reply.unwrap();
    assert_eq!(sink.by_recipient().into_keys().collect::<Vec<_>>(), ["b@x.example"]);
}

#[tokio::test]
async fn a_call_dropped_half_way_leaves_a_connection_only_fit_to_be_closed() {
    let sink = Sink::start().await;
    let mut connection = open(&route(&sink)).await.unwrap();
    connection.open_envelope(&to("a+dot-takehang@x.example")).await.unwrap();
    {
        let mut finishing = std::pin::pin!(deliver(&mut connection, MAIL, None));
        tokio::select! {
            _ = &mut finishing => panic!("the sink never answers"),
            () = sink.wait_for(1) => {}
        }
    }
    assert!(!connection.is_clean() && !connection.is_alive());
    assert!(connection.open_envelope(&to("b@x.example")).await.is_err());
    connection.quit().await.expect("closing is all that is left, and it says nothing to the server");
    assert_eq!(sink.count(), 1);
}

#[tokio::test]
async fn calls_out_of_turn_are_refused() {
    let sink = Sink::start().await;
    let mut connection = open(&route(&sink)).await.unwrap();
    let finished = deliver(&mut connection, MAIL, None).await;
    assert!(matches!(finished.reply.unwrap_err().kind, Kind::Unfit(_)));
    assert!(connection.is_clean(), "nothing was sent");
    connection.open_envelope(&to("a@x.example")).await.unwrap();
    assert!(connection.open_envelope(&to("a@x.example")).await.is_err());
    assert!(connection.rset().await.is_err());
    deliver(&mut connection, MAIL, None).await.reply.unwrap();
}

#[tokio::test]
async fn plain_text_goes_to_this_machine_only() {
    // An address of the documentation range (RFC 5737): refused before anything is sent there.
    let failure = open(&Route::new("far", "192.0.2.1", 25, Tls::None)).await.err().unwrap();
    assert!(failure.stage == Stage::Connect && matches!(failure.kind, Kind::Unfit(_)), "{failure:?}");
    let sink = Sink::start().await;
    let named = Route { host: "localhost".to_owned(), ..route(&sink) };
    open(&named).await.unwrap();
}

fn trusting(sink: &Sink, tls: Tls) -> Route {
    Route { host: "localhost".to_owned(), tls, extra_roots: vec![sink.certificate()], ..route(sink) }
}

fn secret() -> Option<Credentials> {
    Some(Credentials { username: "us".to_owned(), password: "pässword".to_owned() })
}

#[tokio::test]
async fn both_ways_of_tls_and_both_ways_to_authenticate() {
    for (sink_tls, tls) in [(SinkTls::StartTls, Tls::StartTls), (SinkTls::Implicit, Tls::Implicit)] {
        for mechanisms in ["PLAIN LOGIN", "LOGIN"] {
            let auth = Some(("us", "pässword", mechanisms));
            let sink = Sink::with(Setup { tls: sink_tls, auth, ..Setup::default() }).await;
            let good = Route { credentials: secret(), ..trusting(&sink, tls) };
            let mut connection = open(&good).await.unwrap();
            assert!(connection.capabilities().pipelining);
            connection.open_envelope(&to("a@x.example")).await.unwrap();
            let body = b"Line after line of it.\r\n".repeat(20_000);
            let finished = deliver(&mut connection, &body, Some(&to("b@x.example"))).await;
            finished.reply.unwrap();
            deliver(&mut connection, MAIL, None).await.reply.unwrap();
            assert!(connection.is_alive());
            assert_eq!(sink.count(), 2);
        }
    }
}

#[tokio::test]
async fn under_tls_the_dot_is_told_from_the_body_as_well() {
    for (fault, stage) in
        [(Fault::new(At::Body, Act::Close), Stage::Body), (Fault::new(At::Dot, Act::Close), Stage::Dot)]
    {
        let sink = Sink::with(Setup { tls: SinkTls::StartTls, ..Setup::default() }).await;
        sink.script(fault);
        let mut connection = open(&trusting(&sink, Tls::StartTls)).await.unwrap();
        connection.open_envelope(&to("a@x.example")).await.unwrap();
        let body = b"Line after line of it.\r\n".repeat(if stage == Stage::Body { 1_000_000 } else { 1 });
        let failure = deliver(&mut connection, &body, None).await.reply.unwrap_err();
        assert_eq!((failure.stage, failure.in_doubt()), (stage, stage == Stage::Dot), "{failure:?}");
        assert_eq!(sink.count(), 0);
    }
}

#[tokio::test]
async fn a_certificate_must_be_trusted_and_bear_the_name() {
    for (sink_tls, tls) in [(SinkTls::StartTls, Tls::StartTls), (SinkTls::Implicit, Tls::Implicit)] {
        let sink = Sink::with(Setup { tls: sink_tls, ..Setup::default() }).await;
        let stranger = Route { tls, ..route(&sink) };
        assert_eq!(open(&stranger).await.err().unwrap().stage, Stage::Tls);
        let misnamed = Route { extra_roots: vec![sink.certificate()], ..stranger };
        assert_eq!(open(&misnamed).await.err().unwrap().stage, Stage::Tls, "the certificate does not name 127.0.0.1");
        open(&Route { host: "localhost".to_owned(), ..misnamed }).await.unwrap();
    }
    let plain = Sink::start().await;
    let failure = open(&Route { tls: Tls::StartTls, ..route(&plain) }).await.err().unwrap();
    assert!(failure.stage == Stage::Tls && matches!(failure.kind, Kind::Protocol(_)), "{failure:?}");
}

#[tokio::test]
async fn a_wrong_password_is_a_refusal_at_auth_and_is_never_printed() {
    let sink = Sink::with(Setup { auth: Some(("us", "other", "PLAIN")), ..Setup::default() }).await;
    let wrong = Route { credentials: secret(), ..route(&sink) };
    let failure = open(&wrong).await.err().unwrap();
    assert_eq!((failure.stage, failure.reply().map(|reply| reply.code)), (Stage::Auth, Some(535)));
    assert!(!format!("{wrong:?} {failure:?} {failure}").contains("pässword"));
    let sink = Sink::with(Setup { auth: Some(("us", "pässword", "CRAM-MD5")), ..Setup::default() }).await;
    let failure = open(&Route { credentials: secret(), ..route(&sink) }).await.err().unwrap();
    assert!(failure.stage == Stage::Auth && matches!(failure.kind, Kind::Protocol(_)));
}

#[tokio::test]
async fn the_sink_obeys_its_script_and_keeps_count() {
    let sink = Sink::start().await;
    sink.script(Fault::say(At::Rcpt, "451 4.7.1 grey").to("x.example").once_per_recipient());
    sink.script(Fault::say(At::Dot, "451 4.3.0 full").after(1).times(1));
    let mut connection = open(&route(&sink)).await.unwrap();
    for expected in [451, 354] {
        let opened = connection.open_envelope(&to("a@x.example")).await;
        assert_eq!(if expected == 354 { (Stage::Rcpt, 354) } else { refusal(opened) }, (Stage::Rcpt, expected));
    }
    deliver(&mut connection, MAIL, Some(&to("b@y.example"))).await.reply.unwrap();
    assert_eq!(
        deliver(&mut connection, MAIL, Some(&to("b@y.example"))).await.reply.unwrap_err().reply().unwrap().code,
        451
    );
    deliver(&mut connection, MAIL, None).await.reply.unwrap();
    sink.wait_for(2).await;
    assert_eq!(sink.accepted()[0].head, "Message-ID: <1@us.example>\r\nSubject: hello");
    assert_eq!(sink.accepted()[1].to, ["b@y.example"]);
}
