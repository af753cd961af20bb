//! A headless Chromium, driven over WebDriver (W3C) by the few calls a marketer's day needs.
//!
//! Needs `chromium` and `chromedriver` on the path. Where they are missing that is said loudly and the test is not run;
//! with `INDICIA_TEST_NEED=1` it fails. The browser finds no host but this machine's own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// Longest wait for the browser to answer one call.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest wait for a page to become what it should, milliseconds.
const SCRIPT_MS: u64 = 30_000;
/// WebDriver's name of a reference to an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// One browser with one session; both end when dropped.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: TempDir,
}

impl Browser {
    /// A fresh browser, or `None` (said loudly) where there is none.
    pub fn start() -> Option<Browser> {
        let Some(chromium) = on_path("chromium").filter(|_| on_path("chromedriver").is_some()) else {
            let said = "chromium and chromedriver are not installed: the browser tests were NOT run";
            assert!(std::env::var_os("INDICIA_TEST_NEED").is_none(), "{said}");
            eprintln!("\n*** {said} ***\n");
            return None;
        };
        let profile = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").env("HOME", profile.path()).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut driver = command.stderr(Stdio::null()).spawn().expect("start chromedriver");
        let mut said = BufReader::new(driver.stdout.take().expect("piped")).lines();
        let port = said.by_ref().flatten().find_map(|line| port_in(&line)).expect("chromedriver says its port");
        // Read on, so that it never waits for a reader.
        std::thread::spawn(move || said.for_each(drop));
        let mut browser = Browser { driver, port, session: String::new(), _profile: profile };
        let folder = browser._profile.path().join("profile");
        let arguments = [
            "--headless=new",
            // As root there is no sandbox; what is opened is our own.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--window-size=1280,900",
            // A person's browser: one that says it is headless is taken for a machine.
            "--user-agent=Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
            &format!("--user-data-dir={}", folder.display()),
        ];
        let options = json!({ "binary": chromium, "args": arguments });
        let wanted = json!({ "goog:chromeOptions": options, "timeouts": { "script": SCRIPT_MS } });
        let made = browser.call("POST", "", &json!({ "capabilities": { "alwaysMatch": wanted } }));
        browser.session = format!("/{}", made["sessionId"].as_str().expect("a session"));
        Some(browser)
    }

    pub fn open(&self, url: &str) {
        self.call("POST", "/url", &json!({ "url": url }));
    }

    pub fn url(&self) -> String {
        self.call("GET", "/url", &Value::Null).as_str().expect("a URL").to_owned()
    }

    /// Clicks the first element that a CSS selector finds.
    pub fn click(&self, selector: &str) {
        let found = self.element(selector);
        self.call("POST", &format!("/element/{found}/click"), &json!({}));
    }

    /// Works in the frame that a CSS selector finds, until [`Browser::leave_frame`].
    pub fn enter_frame(&self, selector: &str) {
        let id = json!({ ELEMENT: self.element(selector) });
        self.call("POST", "/frame", &json!({ "id": id }));
    }

    pub fn leave_frame(&self) {
        self.call("POST", "/frame", &json!({ "id": null }));
    }

    /// What the body of a function gives on the page.
    pub fn ask(&self, script: &str) -> Value {
        self.call("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Waits until a JavaScript expression is true.
    pub fn until(&self, expression: &str) {
        let script = format!(
            "const done = arguments[0]; const look = () => ({expression}) ? done(true) : setTimeout(look, 20); look();"
        );
        self.call("POST", "/execute/async", &json!({ "script": script, "args": [] }));
    }

    /// Goes to the window that a click opened, gives its address, closes it, and comes back.
    pub fn look_into_new_window(&self) -> String {
        let here = self.call("GET", "/window", &Value::Null);
        let all = self.call("GET", "/window/handles", &Value::Null);
        let other = all.as_array().expect("windows").iter().find(|window| **window != here).expect("a new window");
        self.call("POST", "/window", &json!({ "handle": other }));
        self.until("location.href !== 'about:blank'");
        let url = self.url();
        self.call("DELETE", "/window", &Value::Null);
        self.call("POST", "/window", &json!({ "handle": here }));
        url
    }

    fn element(&self, selector: &str) -> String {
        let found = self.call("POST", "/element", &json!({ "using": "css selector", "value": selector }));
        found[ELEMENT].as_str().expect("an element").to_owned()
    }

    /// One WebDriver command.
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("chromedriver listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let head = format!(
            "{method} /session{}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.session,
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).expect("ask chromedriver");
        let answer = answer(stream);
        let value = &answer["value"];
        assert!(value["error"].is_null(), "{method} {path} {body}: {}: {}", value["error"], value["message"]);
        value.clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !std::thread::panicking() && !self.session.is_empty() {
            self.call("DELETE", "", &Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The body of one HTTP answer, by its Content-Length.
fn answer(stream: TcpStream) -> Value {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("an answer from chromedriver");
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a whole answer");
    serde_json::from_slice(&body).expect("JSON from chromedriver")
}

fn port_in(line: &str) -> Option<u16> {
    let (_, port) = line.split_once("started successfully on port ")?;
    port.trim_end_matches('.').parse().ok()
}

fn on_path(program: &str) -> Option<std::path::PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.exists())
}
