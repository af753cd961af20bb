//! Keys that sign, made for a test, and a verifier of signatures that is not ours: Python's `dkimpy`.

use std::io::Write as _;
use std::process::{Command, Stdio};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, RsaKeyPair};
use data_encoding::BASE64;
use indicia::render::Secret;
use serde_json::{Value, json};

/// A private key as PKCS#8.
pub struct Key {
    pub der: Vec<u8>,
}

impl Key {
    pub fn rsa(size: KeySize) -> Key {
        let pair = RsaKeyPair::generate(size).expect("a key");
        let der: Pkcs8V1Der<'_> = pair.as_der().expect("PKCS#8");
        Key { der: der.as_ref().to_vec() }
    }

    pub fn ed25519() -> Key {
        let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        Key { der: der.as_ref().to_vec() }
    }

    pub fn secret(&self) -> Secret {
        Secret::pkcs8(&self.der).expect("a key that signs")
    }

    pub fn pem(&self) -> String {
        let text = BASE64.encode(&self.der);
        let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..(at + 64).min(text.len())]).collect();
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
    }
}

/// For each mail, for each of its signatures from the top, whether it holds, given the DNS records by name. `None`,
/// said loudly, where there is no `dkimpy`.
pub fn verify(mails: &[Vec<u8>], records: &[(&str, String)]) -> Option<Vec<Vec<bool>>> {
    const SCRIPT: &str = "import sys, json, base64\n\
        try:\n    import dkim, nacl\n\
        except ImportError:\n    sys.exit(7)\n\
        asked = json.load(sys.stdin)\n\
        dns = lambda name, timeout=5: asked['records'].get(name.decode().rstrip('.'), '').encode() or None\n\
        def holds(mail, n):\n\
        \x20   try:\n        return bool(dkim.DKIM(mail).verify(idx=n, dnsfunc=dns))\n\
        \x20   except dkim.DKIMException:\n        return False\n\
        def count(mail):\n    return sum(1 for k, v in dkim.rfc822_parse(mail)[0] if k.lower() == b'dkim-signature')\n\
        mails = [base64.b64decode(m) for m in asked['mails']]\n\
        print(json.dumps([[holds(m, n) for n in range(count(m))] for m in mails]))\n";
    let asked = json!({
        "mails": mails.iter().map(|mail| BASE64.encode(mail)).collect::<Vec<_>>(),
        "records": records.iter().map(|(name, text)| ((*name).to_owned(), json!(text))).collect::<serde_json::Map<_, _>>(),
    });
    let mut python = Command::new("python3")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs python3");
    python.stdin.take().expect("piped").write_all(asked.to_string().as_bytes()).expect("it reads");
    let output = python.wait_with_output().expect("it ends");
    if output.status.code() == Some(7) {
        let said = "Python's dkimpy and pynacl are not installed: signatures were NOT verified";
        assert!(std::env::var_os("INDICIA_TEST_NEED").is_none(), "{said}");
        eprintln!("\n*** {said} ***\n");
        return None;
    }
    assert!(output.status.success(), "the verifier failed");
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let bools = |list: &Value| list.as_array().expect("a list").iter().map(|one| one == true).collect();
    Some(told.as_array().expect("a list").iter().map(bools).collect())
}
