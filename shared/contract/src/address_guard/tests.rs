use super::*;
use proptest::prelude::*;

fn none() -> NetworkList {
    NetworkList::default()
}

fn judged(ip: &str) -> Option<&'static str> {
    forbidden_kind(ip.parse().unwrap(), &none())
}

#[test]
fn each_class_of_address_is_named() {
    for (ips, kind) in [
        (&["0.0.0.0", "0.255.255.255", "::"][..], Some(UNSPECIFIED)),
        (&["127.0.0.1", "127.255.255.255", "::1"], Some(LOOPBACK)),
        (&["10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.1", "fec0::1"], Some(PRIVATE)),
        (&["169.254.0.1", "169.254.255.255", "fe80::1", "febf::1"], Some(LINK_LOCAL)),
        (&["100.64.0.0", "100.127.255.255"], Some(CGNAT)),
        (
            &["169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "192.0.0.192", "168.63.129.16"],
            Some(METADATA),
        ),
        (&["fd00:ec2::254", "fd20:ce::254"], Some(METADATA)),
        (&["192.0.2.1", "198.51.100.1", "203.0.113.255", "2001:db8::1", "3fff:fff::1"], Some(DOCUMENTATION)),
        (&["198.18.0.1", "198.19.255.255", "2001:2::1"], Some(BENCHMARKING)),
        (&["224.0.0.1", "239.255.255.255", "ff02::1"], Some(MULTICAST)),
        (&["255.255.255.255"], Some(BROADCAST)),
        (&["240.0.0.1", "255.255.255.254", "192.0.0.1", "192.88.99.1"], Some(RESERVED)),
        (&["100::1", "2001:10::1", "2001:1ff::1", "4000::1", "5f00::1", "64:ff9b:1::1", "fe00::1"], Some(RESERVED)),
        (&["fc00::1", "fdff::1"], Some(UNIQUE_LOCAL)),
        (&["1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"], None),
        (&["128.0.0.1", "169.253.0.1", "169.255.0.1", "172.15.255.255", "172.32.0.0", "192.0.1.1"], None),
        (&["192.167.0.1", "192.169.0.1", "198.17.0.1", "198.20.0.1", "223.255.255.255"], None),
        (&["2606:4700::1111", "2a00::1", "2001:200::1", "2400::1", "3ffe::1"], None),
    ] {
        for ip in ips {
            assert_eq!(judged(ip), kind, "{ip}");
        }
    }
}

#[test]
fn an_ipv4_address_is_judged_in_each_of_its_forms_in_ipv6() {
    for (inside, kind) in [
        ("127.0.0.1", Some(LOOPBACK)),
        ("169.254.169.254", Some(METADATA)),
        ("10.1.2.3", Some(PRIVATE)),
        ("1.1.1.1", None),
    ] {
        for ip in forms(inside.parse().unwrap()) {
            assert_eq!(forbidden_kind(ip.into(), &none()), kind, "{ip} carries {inside}");
        }
    }
}

fn forms(ip: Ipv4Addr) -> [Ipv6Addr; 6] {
    let [a, b, c, d] = ip.octets().map(u16::from);
    let (high, low) = (a << 8 | b, c << 8 | d);
    [
        [0, 0, 0, 0, 0, 0, high, low],
        [0, 0, 0, 0, 0, 0xffff, high, low],
        [0, 0, 0, 0, 0xffff, 0, high, low],
        [0x64, 0xff9b, 0, 0, 0, 0, high, low],
        [0x2002, high, low, 7, 7, 7, 7, 7],
        [0x2001, 0, 0x4136, 0xe378, 0x8000, 0x63bf, !high, !low],
    ]
    .map(Ipv6Addr::from)
}

#[test]
fn what_the_operator_allows_is_allowed_and_nothing_beside_it() {
    let allowed = NetworkList::parse(" 10.0.0.0/8, 192.168.1.5,fd00::/8 ,::1,").unwrap();
    for (ip, free) in [
        ("10.1.2.3", true),
        ("::ffff:10.1.2.3", true),
        ("64:ff9b::10.1.2.3", true),
        ("192.168.1.5", true),
        ("192.168.1.6", false),
        ("fd12::1", true),
        ("fc00::1", false),
        ("::1", true),
        ("127.0.0.1", false),
        ("8.8.8.8", true),
    ] {
        assert_eq!(forbidden_kind(ip.parse().unwrap(), &allowed).is_none(), free, "{ip}");
    }
}

#[test]
fn networks_are_read_or_refused_with_what_is_right() {
    for (text, written) in [
        ("", ""),
        (" , ", ""),
        ("10.0.0.0/8,192.168.1.5", "10.0.0.0/8,192.168.1.5/32"),
        ("fd00::/8, ::1", "fd00::/8,::1/128"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ] {
        assert_eq!(NetworkList::parse(text).unwrap().to_string(), written, "{text:?}");
    }
    for text in ["localhost", "10.0.0.0/33", "10.0.0/8", "10.0.0.0-10.0.0.9", "10.0.0.0/8;1.1.1.1", "::1/129", "/8"] {
        let error = NetworkList::parse(text).unwrap_err();
        assert!(matches!(&error, InvalidNetworks::Form(entry) if text == entry), "{text}: {error}");
    }
    assert_eq!(
        NetworkList::parse("10.0.0.5/8").unwrap_err(),
        InvalidNetworks::Bits { written: "10.0.0.5/8".to_owned(), network: "10.0.0.0/8".parse().unwrap() }
    );
}

proptest! {
    #[test]
    fn every_form_of_an_ipv4_address_is_judged_as_it_is(bits in any::<u32>()) {
        let ip = Ipv4Addr::from(bits);
        let expected = forbidden_kind(ip.into(), &none());
        for form in forms(ip) {
            // Two IPv4-compatible addresses are the loopback and the unspecified one of IPv6.
            if form.is_loopback() || form.is_unspecified() {
                continue;
            }
            prop_assert_eq!(forbidden_kind(form.into(), &none()), expected, "{}", form);
        }
    }

    #[test]
    fn what_the_standard_library_knows_as_special_is_forbidden(bits in any::<u32>()) {
        let ip = Ipv4Addr::from(bits);
        let special = ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_multicast()
            || ip.is_broadcast() || ip.is_documentation() || ip.is_unspecified();
        prop_assert!(!special || forbidden_kind(ip.into(), &none()).is_some(), "{}", ip);
    }

    #[test]
    fn outside_of_global_unicast_no_ipv6_address_is_free_unless_it_carries_one_that_is(bits in any::<u128>()) {
        let ip = Ipv6Addr::from(bits);
        if forbidden_kind(ip.into(), &none()).is_none() {
            let free_inside = embedded_ipv4(ip).is_some_and(|inside| forbidden_kind(inside.into(), &none()).is_none());
            prop_assert!(free_inside || GLOBAL_UNICAST.contains(&ip), "{}", ip);
        }
    }

    #[test]
    fn an_allowed_network_frees_all_of_itself_and_changes_nothing_else(
        network in any::<u32>(), prefix in 0_u8..=32, ip in any::<u32>(), beside in any::<u32>()
    ) {
        let network = Ipv4Net::new(network.into(), prefix).unwrap().trunc();
        let allowed = NetworkList::parse(&network.to_string()).unwrap();
        let inside = u32::from(network.network()) | (ip & u32::from(network.hostmask()));
        prop_assert_eq!(forbidden_kind(Ipv4Addr::from(inside).into(), &allowed), None);
        let beside = Ipv4Addr::from(beside);
        if !network.contains(&beside) {
            prop_assert_eq!(forbidden_kind(beside.into(), &allowed), forbidden_kind(beside.into(), &none()));
        }
    }

    #[test]
    fn no_text_makes_the_reading_of_networks_panic(text in "\\PC{0,40}") {
        let _ = NetworkList::parse(&text);
    }
}
