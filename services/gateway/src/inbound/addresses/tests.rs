//! What a directory says about a person under each address, and what it does not guess.

use super::*;

fn jid(jid: &str) -> Jid {
    jid.parse().unwrap()
}

/// The store knows one person: LID 900 is number 628.
fn directory() -> AddressDirectory {
    let mut directory = AddressDirectory::of_account(Some(jid("111@s.whatsapp.net")), Some(jid("222@lid")));
    directory.add_pair(&jid("900:3@lid"), &jid("628:3@s.whatsapp.net"));
    directory
}

#[test]
fn a_person_is_one_address_however_a_message_names_him() {
    let number = "628@s.whatsapp.net";
    for (named, expected) in [
        (number, number),
        ("628:7@s.whatsapp.net", number),
        ("900@lid", number),
        ("900:7@lid", number),
        ("900:99@hosted.lid", number),
        ("628:99@hosted", number),
        // Nobody knows LID 901, so it is not guessed.
        ("901:2@lid", "901@lid"),
        ("120363@g.us", "120363@g.us"),
        ("status@broadcast", "status@broadcast"),
        ("120363@newsletter", "120363@newsletter"),
    ] {
        assert_eq!(directory().canonical_address(&jid(named)).as_str(), expected, "{named}");
        assert_eq!(directory().known_addresses(&jid(named)).jid.as_str(), expected, "{named}");
    }
}

#[test]
fn both_addresses_are_told_where_they_are_known() {
    let party = |named: &str| {
        let KnownAddresses { pn, lid, .. } = directory().known_addresses(&jid(named));
        (pn.map(|pn| pn.to_string()), lid.map(|lid| lid.to_string()))
    };
    let some = |text: &str| Some(text.to_owned());
    let both = (some("628@s.whatsapp.net"), some("900@lid"));
    assert_eq!(party("628:7@s.whatsapp.net"), both);
    assert_eq!(party("900:7@lid"), both);
    assert_eq!(party("629@s.whatsapp.net"), (some("629@s.whatsapp.net"), None));
    assert_eq!(party("901@lid"), (None, some("901@lid")));
    assert_eq!(party("120363@g.us"), (None, None));
}

#[test]
fn what_is_no_pair_teaches_nothing() {
    let mut directory = directory();
    directory.add_pair(&jid("901@lid"), &jid("902@lid"));
    directory.add_pair(&jid("120363@g.us"), &jid("629@s.whatsapp.net"));
    assert_eq!(directory.canonical_address(&jid("901@lid")).as_str(), "901@lid");
    assert_eq!(directory.people.len(), 2);
    // The first pair stays: one message cannot move another person's address.
    directory.add_pair(&jid("900@lid"), &jid("666@s.whatsapp.net"));
    assert_eq!(directory.canonical_address(&jid("900@lid")).as_str(), "628@s.whatsapp.net");
}

#[test]
fn the_account_knows_itself_under_both_addresses() {
    for own in ["111@s.whatsapp.net", "111:4@s.whatsapp.net", "222@lid", "222:4@lid"] {
        assert!(directory().is_own(&jid(own)), "{own}");
    }
    assert!(!directory().is_own(&jid("628@s.whatsapp.net")));
    assert!(!AddressDirectory::default().is_own(&jid("628@s.whatsapp.net")));
}

#[test]
fn only_what_is_not_known_is_looked_up() {
    for (named, lacks) in [("900@lid", false), ("628@s.whatsapp.net", false), ("901@lid", true), ("120363@g.us", false)]
    {
        assert_eq!(directory().is_incomplete(&jid(named)), lacks, "{named}");
    }
}
