//! Addresses to which no webhook may go: only this machine or this network can reach them, or nobody owns them.
//!
//! The API checks an endpoint with a literal address, the dispatcher checks each connection after it resolved the name. An
//! IPv6 address that carries an IPv4 address is treated as that IPv4 address, because packets go there. Sources: IANA's special-purpose address registries (RFC 6890 and its updates) and the clouds' documents.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// The setting that allows networks.
pub const ALLOWED_NETWORKS: &str = "WEBHOOK_ALLOWED_NETWORKS";

/// Networks that the operator allows for webhooks. The default allows none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkList(Vec<IpNet>);

/// The errors of [`NetworkList::parse`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNetworks {
    #[error("{0:?} is no network: write networks or addresses with commas between, as 10.0.0.0/8,192.168.1.5")]
    Form(String),
    /// Often a typing error, which would allow a far larger network than was meant.
    #[error("{written} has bits beyond its prefix: write {network} for the network, or the address without a prefix")]
    Bits { written: String, network: IpNet },
}

impl NetworkList {
    /// Parses `10.0.0.0/8,192.168.1.5,fd00::/8`; an empty text is no network.
    ///
    /// # Errors
    /// The wrong entry, and what would be right.
    pub fn parse(text: &str) -> Result<Self, InvalidNetworks> {
        text.split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(parse_network)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&ip))
    }
}

fn parse_network(entry: &str) -> Result<IpNet, InvalidNetworks> {
    let invalid = || InvalidNetworks::Form(entry.to_owned());
    if !entry.contains('/') {
        return entry.parse::<IpAddr>().map(IpNet::from).map_err(|_| invalid());
    }
    let network: IpNet = entry.parse().map_err(|_| invalid())?;
    if network.addr() == network.network() {
        Ok(network)
    } else {
        Err(InvalidNetworks::Bits { written: entry.to_owned(), network: network.trunc() })
    }
}

impl FromStr for NetworkList {
    type Err = InvalidNetworks;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for NetworkList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, network) in self.0.iter().enumerate() {
            write!(f, "{}{network}", if n == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// The kind of a forbidden address; none if a webhook may go there.
#[must_use]
pub fn forbidden_kind(ip: IpAddr, allowed: &NetworkList) -> Option<&'static str> {
    // Converted first, so that all forms of an address are the same, for the operator's networks too.
    let ip = canonical(ip);
    let kind = match ip {
        IpAddr::V4(ip) => V4.iter().find(|(network, _)| network.contains(&ip)).map(|&(_, kind)| kind),
        IpAddr::V6(ip) => V6
            .iter()
            .find(|(network, _)| network.contains(&ip))
            .map(|&(_, kind)| kind)
            // IANA has assigned no routable address outside of this network.
            .or_else(|| (!GLOBAL_UNICAST.contains(&ip)).then_some(RESERVED)),
    }?;
    (!allowed.contains(ip)).then_some(kind)
}

/// The IPv4 address inside an IPv6 address that carries one, else the address itself.
fn canonical(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => embedded_ipv4(v6).map_or(ip, IpAddr::V4),
    }
}

/// The IPv4 address inside an IPv6 address, in each form that some router or operating system converts back.
fn embedded_ipv4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = ip.segments();
    let from = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match s {
        // :: and ::1 carry no IPv4 address.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // IPv4-compatible (RFC 4291, 2.5.5.1), IPv4-mapped (2.5.5.2), IPv4-translated (RFC 2765, 2.1).
        [0, 0, 0, 0, 0, 0, high, low] | [0, 0, 0, 0, 0, 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => {
            Some(from(high, low))
        }
        // NAT64's well-known prefix (RFC 6052, 2.1).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(from(high, low)),
        // 6to4 (RFC 3056, 2).
        [0x2002, high, low, ..] => Some(from(high, low)),
        // Teredo: the client's address, with its bits inverted (RFC 4380, 4).
        [0x2001, 0, _, _, _, _, high, low] => Some(from(!high, !low)),
        _ => None,
    }
}

const UNSPECIFIED: &str = "an unspecified address";
const LOOPBACK: &str = "a loopback address";
const PRIVATE: &str = "a private address";
const LINK_LOCAL: &str = "a link-local address";
const CGNAT: &str = "an address of a carrier's network (100.64.0.0/10)";
const METADATA: &str = "a cloud's metadata address";
const DOCUMENTATION: &str = "an address for documentation";
const BENCHMARKING: &str = "an address for benchmarks";
const MULTICAST: &str = "a multicast address";
const BROADCAST: &str = "the broadcast address";
const RESERVED: &str = "a reserved address";
const UNIQUE_LOCAL: &str = "a unique local address";

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

/// `start`: the first four groups; the others are 0.
const fn v6(start: [u16; 4], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(start[0], start[1], start[2], start[3], 0, 0, 0, 0), prefix)
}

/// The first match names the kind, so a single address comes before its network.
const V4: &[(Ipv4Net, &str)] = &[
    // AWS, Google, Azure, Oracle, DigitalOcean, Hetzner, …
    (v4(169, 254, 169, 254, 32), METADATA),
    // AWS: the credentials of a container (ECS, EKS), the time server, the resolver.
    (v4(169, 254, 170, 0, 24), METADATA),
    // Alibaba.
    (v4(100, 100, 100, 200, 32), METADATA),
    // Oracle.
    (v4(192, 0, 0, 192, 32), METADATA),
    // Azure's host: a virtual machine reaches it although the address is public.
    (v4(168, 63, 129, 16, 32), METADATA),
    (v4(0, 0, 0, 0, 8), UNSPECIFIED),
    (v4(127, 0, 0, 0, 8), LOOPBACK),
    (v4(10, 0, 0, 0, 8), PRIVATE),
    (v4(172, 16, 0, 0, 12), PRIVATE),
    (v4(192, 168, 0, 0, 16), PRIVATE),
    (v4(169, 254, 0, 0, 16), LINK_LOCAL),
    (v4(100, 64, 0, 0, 10), CGNAT),
    (v4(192, 0, 0, 0, 24), RESERVED),
    (v4(192, 0, 2, 0, 24), DOCUMENTATION),
    (v4(198, 51, 100, 0, 24), DOCUMENTATION),
    (v4(203, 0, 113, 0, 24), DOCUMENTATION),
    // Relays of 6to4, deprecated by RFC 7526.
    (v4(192, 88, 99, 0, 24), RESERVED),
    (v4(198, 18, 0, 0, 15), BENCHMARKING),
    (v4(224, 0, 0, 0, 4), MULTICAST),
    (v4(255, 255, 255, 255, 32), BROADCAST),
    (v4(240, 0, 0, 0, 4), RESERVED),
];

const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0, 0], 3);

/// The same for IPv6. An address that carries an IPv4 address was converted before.
const V6: &[(Ipv6Net, &str)] = &[
    // AWS and Google use unique local addresses.
    (Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128), METADATA),
    (Ipv6Net::new_assert(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128), METADATA),
    (v6([0, 0, 0, 0], 128), UNSPECIFIED),
    (Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), LOOPBACK),
    (v6([0xfc00, 0, 0, 0], 7), UNIQUE_LOCAL),
    (v6([0xfe80, 0, 0, 0], 10), LINK_LOCAL),
    // Site-local, deprecated by RFC 3879 and still used.
    (v6([0xfec0, 0, 0, 0], 10), PRIVATE),
    (v6([0xff00, 0, 0, 0], 8), MULTICAST),
    (v6([0x2001, 0xdb8, 0, 0], 32), DOCUMENTATION),
    (v6([0x3fff, 0, 0, 0], 20), DOCUMENTATION),
    (v6([0x2001, 2, 0, 0], 48), BENCHMARKING),
    // IETF protocol assignments.
    (v6([0x2001, 0, 0, 0], 23), RESERVED),
];

#[cfg(test)]
mod tests;
