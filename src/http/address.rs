//! Where a request comes from: whoever is connected, or whom a proxy names that is trusted.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::http::HeaderMap;
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The proxies that are believed. Cheap to clone.
#[derive(Clone)]
pub struct Proxies {
    networks: Arc<[IpNet]>,
}

impl Proxies {
    /// # Errors
    /// For what is neither an address nor a network.
    pub fn parse(networks: &[String]) -> Result<Self, String> {
        let parse = |text: &String| {
            let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            network.map_err(|_| format!("http.trusted_proxies: \"{text}\" is neither an address nor a network"))
        };
        Ok(Self { networks: networks.iter().map(parse).collect::<Result<_, _>>()? })
    }

    /// The address of a client. Each proxy adds whom it has heard from at the end of the header: what stands before the
    /// first that is not trusted may be made up.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if self.networks.is_empty() {
            return client;
        }
        let named: Vec<_> = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
        for name in named.iter().rev().flat_map(|names| names.rsplit(',')) {
            if !self.networks.iter().any(|network| network.contains(&client)) {
                break;
            }
            let Some(address) = address(name.trim()) else { break };
            client = address.to_canonical();
        }
        client
    }
}

/// With a port, or without.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn client(trusted: &[&str], peer: &str, named: &[&'static str]) -> String {
        let proxies = Proxies::parse(&trusted.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).unwrap();
        let mut headers = HeaderMap::new();
        for names in named {
            headers.append(FORWARDED_FOR, HeaderValue::from_static(names));
        }
        proxies.client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let proxies = ["10.0.0.0/8", "192.0.2.1"];
        assert_eq!(client(&[], "10.0.0.1", &["198.51.100.1"]), "10.0.0.1");
        assert_eq!(client(&proxies, "203.0.113.9", &["198.51.100.1"]), "203.0.113.9");
        assert_eq!(client(&proxies, "10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client(&proxies, "::ffff:10.0.0.1", &["198.51.100.1:4711"]), "198.51.100.1");
        assert_eq!(client(&proxies, "10.0.0.1", &["[2001:db8::1]:80"]), "2001:db8::1");
        assert_eq!(client(&proxies, "10.0.0.1", &["[2001:db8::1]"]), "2001:db8::1");
        // The client has made up the first.
        assert_eq!(client(&proxies, "10.0.0.1", &["10.9.9.9, 198.51.100.1, 192.0.2.1"]), "198.51.100.1");
        assert_eq!(client(&proxies, "10.0.0.1", &["1.1.1.1", "198.51.100.1,10.0.0.2"]), "198.51.100.1");
        assert_eq!(client(&proxies, "10.0.0.1", &["nonsense, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(client(&proxies, "10.0.0.1", &[""]), "10.0.0.1");
        assert_eq!(client(&proxies, "10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn what_is_no_network_is_named() {
        let error = Proxies::parse(&["10.0.0.0/33".to_owned()]).err().unwrap();
        assert!(error.contains("10.0.0.0/33"), "{error}");
    }
}
