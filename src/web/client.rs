//! Who asks: the peer, or whom a trusted proxy says it speaks for.

use std::net::IpAddr;
use std::str::FromStr;

use hyper::HeaderMap;

/// Most hops of `X-Forwarded-For` looked at.
const HOPS_MAX: usize = 16;

/// A network in CIDR notation; a bare address is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    base: u128,
    mask: u128,
}

/// A text that is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an address nor a network such as \"10.0.0.0/8\" or \"fd00::/8\"")]
pub struct NotANetwork(String);

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Network, NotANetwork> {
        let refused = || NotANetwork(text.to_owned());
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u32>().map_err(|_| refused())?)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| refused())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let length = length.unwrap_or(bits);
        if length > bits {
            return Err(refused());
        }
        // IPv4 lives in the last 32 bits of its mapped IPv6 form.
        let mask = u128::MAX.checked_shl(bits - length).unwrap_or(0);
        Ok(Network { base: number(address) & mask, mask })
    }
}

impl Network {
    pub fn contains(&self, address: IpAddr) -> bool {
        number(address) & self.mask == self.base
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// Networks whose `X-Forwarded-For` is believed. None by default: anybody can write that header.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    pub fn new(networks: Vec<Network>) -> TrustedProxies {
        TrustedProxies(networks)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// The address the request came from: the last hop that no trusted proxy vouches for.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = plain(peer);
        if self.0.is_empty() || !self.trusts(client) {
            return client;
        }
        let lines: Vec<&str> =
            headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok()).collect();
        for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')).take(HOPS_MAX) {
            let Some(hop) = address(hop) else { break };
            client = hop;
            if !self.trusts(client) {
                break;
            }
        }
        client
    }
}

/// `1.2.3.4`, `1.2.3.4:567`, `::1`, `[::1]:567`.
fn address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let bare: Option<IpAddr> = hop.parse().ok();
    let parsed = bare.or_else(|| hop.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip()));
    parsed.map(plain)
}

/// An IPv4 address as such, even when a dual-stack socket shows it in its IPv6 form.
fn plain(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(trusted: &[&str], peer: &str, header: &str) -> String {
        let proxies = TrustedProxies::new(trusted.iter().map(|network| network.parse().unwrap()).collect());
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", header.parse().unwrap());
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_speaks_for_others() {
        assert_eq!(seen(&[], "192.0.2.1", "198.51.100.7"), "192.0.2.1");
        assert_eq!(seen(&["10.0.0.0/8"], "192.0.2.1", "198.51.100.7"), "192.0.2.1");
        assert_eq!(seen(&["10.0.0.0/8"], "10.1.2.3", "198.51.100.7"), "198.51.100.7");
        assert_eq!(seen(&["10.0.0.0/8"], "::ffff:10.1.2.3", "6.6.6.6, 198.51.100.7, 10.9.9.9"), "198.51.100.7");
        assert_eq!(seen(&["10.0.0.0/8"], "10.1.2.3", "nonsense"), "10.1.2.3");
        assert_eq!(seen(&["::1"], "::1", "[2001:db8::7]:443"), "2001:db8::7");
    }

    #[test]
    fn networks_parse_or_say_why_not() {
        for bad in ["", "10.0.0.0/33", "::/129", "example.com", "10.0.0.0/x"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
        assert!("0.0.0.0/0".parse::<Network>().unwrap().contains("203.0.113.9".parse().unwrap()));
        assert!(!"0.0.0.0/0".parse::<Network>().unwrap().contains("2001:db8::1".parse().unwrap()));
    }
}
