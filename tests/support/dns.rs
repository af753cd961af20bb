//! A DNS server of a test's own, over UDP: what was put into its zone it answers, everything else does not exist.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// A kind of record, by its number (RFC 1035 §3.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    A = 1,
    Ptr = 12,
    Mx = 15,
    Txt = 16,
}

/// What a server knows: record data by name and kind.
#[derive(Debug, Default)]
pub struct Zone(HashMap<(String, u16), Vec<Vec<u8>>>);

impl Zone {
    fn add(mut self, name: &str, kind: Kind, data: Vec<u8>) -> Zone {
        self.0.entry((name.to_lowercase(), kind as u16)).or_default().push(data);
        self
    }

    /// A text, cut into the pieces of 255 bytes that a record is made of.
    pub fn txt(self, name: &str, text: &str) -> Zone {
        let piece = |piece: &[u8]| [&[piece.len() as u8][..], piece].concat();
        self.add(name, Kind::Txt, text.as_bytes().chunks(255).flat_map(piece).collect())
    }

    pub fn mx(self, name: &str, server: &str) -> Zone {
        self.add(name, Kind::Mx, [&[0, 10][..], &wire_name(server)].concat())
    }

    pub fn a(self, name: &str, ip: [u8; 4]) -> Zone {
        self.add(name, Kind::A, ip.to_vec())
    }

    pub fn ptr(self, ip: [u8; 4], name: &str) -> Zone {
        let [a, b, c, d] = ip;
        self.add(&format!("{d}.{c}.{b}.{a}.in-addr.arpa"), Kind::Ptr, wire_name(name))
    }

    /// Answers for the rest of the test, on a port of its own.
    pub fn serve(self) -> SocketAddr {
        let socket = UdpSocket::bind((IpAddr::from([127, 0, 0, 1]), 0)).expect("a free port");
        let address = socket.local_addr().expect("a bound socket");
        std::thread::spawn(move || {
            let mut question = [0; 512];
            while let Ok((len, from)) = socket.recv_from(&mut question) {
                if let Some(answer) = self.answer(&question[..len]) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        address
    }

    /// RFC 1035 §4.1: the question again, and what is known. Names that have records of another kind exist.
    fn answer(&self, question: &[u8]) -> Option<Vec<u8>> {
        let (mut at, mut labels) = (12, Vec::new());
        while *question.get(at)? > 0 {
            let len = usize::from(question[at]);
            labels.push(String::from_utf8_lossy(question.get(at + 1..at + 1 + len)?).to_lowercase());
            at += 1 + len;
        }
        let kind = u16::from_be_bytes(question.get(at + 1..at + 3)?.try_into().ok()?);
        let name = labels.join(".");
        let known = self.0.get(&(name.clone(), kind)).map_or(&[][..], Vec::as_slice);
        let code = if self.0.keys().any(|(other, _)| *other == name) { 0 } else { 3 };
        let mut out = question[..2].to_vec();
        out.extend([0x85, 0x80 | code, 0, 1, 0, known.len() as u8, 0, 0, 0, 0]);
        out.extend(&question[12..at + 5]);
        for data in known {
            out.extend([0xc0, 12]);
            out.extend(kind.to_be_bytes());
            out.extend([0, 1, 0, 0, 0, 60]);
            out.extend((data.len() as u16).to_be_bytes());
            out.extend(data);
        }
        Some(out)
    }
}

fn wire_name(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(label.len() as u8);
        out.extend(label.as_bytes());
    }
    out.push(0);
    out
}
