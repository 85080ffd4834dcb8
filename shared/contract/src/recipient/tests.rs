use super::*;

const BUDI: &str = "6281234567890@s.whatsapp.net";

#[test]
fn what_is_clear_is_read() {
    for (to, jid) in [
        ("6281234567890", BUDI),
        ("+62 812-3456-7890", BUDI),
        ("+62\u{a0}812\u{2011}3456–7890", BUDI),
        ("\u{202a}+62 812 3456 7890\u{202c}", BUDI),
        ("(+62) 812 3456 7890", BUDI),
        ("+62 (812) 3456-7890.", BUDI),
        ("006281234567890", BUDI),
        ("00 62 812 3456 7890", BUDI),
        ("(00) 62 812 3456 7890", BUDI),
        ("'6281234567890", BUDI),
        ("tel:+6281234567890", BUDI),
        ("whatsapp:+6281234567890", BUDI),
        ("6281234567890@s.whatsapp.net", BUDI),
        ("6281234567890@c.us", BUDI),
        (" 6281234567890@C.US ", BUDI),
        ("6281234567890@S.WhatsApp.Net", BUDI),
        ("6281234567890:12@s.whatsapp.net", BUDI),
        ("6281234567890.0:12@s.whatsapp.net", BUDI),
        ("+62 812-3456-7890@c.us", BUDI),
        ("006281234567890@c.us", BUDI),
        ("+376 312 345", "376312345@s.whatsapp.net"),
        ("00298 123456", "298123456@s.whatsapp.net"),
        ("+39 06 6982 1234", "390669821234@s.whatsapp.net"),
        ("+225 01 02 03 04 05", "2250102030405@s.whatsapp.net"),
        ("120363000000000001@g.us", "120363000000000001@g.us"),
        ("120363000000000001@G.US", "120363000000000001@g.us"),
        ("6281234567890-1600000000@g.us", "6281234567890-1600000000@g.us"),
        ("123456789012345@lid", "123456789012345@lid"),
        ("123456789012345:7@LID", "123456789012345@lid"),
    ] {
        assert_eq!(read_recipient(to).map(|jid| jid.to_string()).as_deref(), Ok(jid), "{to:?}");
    }
}

#[test]
fn what_may_be_another_number_is_refused_with_what_was_understood() {
    for (to, found, understood) in [
        ("6281234567890.0", "a point before digits", "62812345678900"),
        ("62.812.3456.7890", "a point before digits", "6281234567890"),
        ("6.28123456789E+12", "a point before digits", "62812345678912"),
        ("628123456789E12", "the letter E", "62812345678912"),
        ("6281234567890 (Budi 2)", "the letter B", "62812345678902"),
        ("+62812-3456-789O", "the letter O", "62812345678 9".trim()),
        ("+6281234567890 ext. 12", "the letter e", "628123456789012"),
        ("+6281234567890 x12", "the letter x", "628123456789012"),
        ("+6281234567890#12", "the character '#'", "628123456789012"),
        ("6281234567890,0", "the character ','", "62812345678900"),
        ("6281234567/8", "the character '/'", "62812345678"),
        ("62812345678٩0", "the character '٩'", "628123456780"),
        ("+49 (0)151 23456789", "(0…) behind the country code", "49015123456789"),
        ("+44 (020) 7946 0958", "(0…) behind the country code", "4402079460958"),
        ("+49 0151 23456789", "a 0 behind the country code 49, where no number has one", "49015123456789"),
        ("62081234567890@c.us", "a 0 behind the country code 62, where no number has one", "62081234567890"),
        ("6281234567890.0@c.us", "a point before digits", "62812345678900"),
        ("6281234567890+1", "a + behind its beginning", "62812345678901"),
        ("https://wa.me/6281234567890", "the letter h", "6281234567890"),
    ] {
        let understood = understood.replace(' ', "");
        let error = InvalidRecipient::Unclear { found: found.to_owned(), understood: understood.clone() };
        assert!(
            error.to_string().starts_with("Invalid phone number format: ") && error.to_string().contains(&understood)
        );
        assert_eq!(read_recipient(to), Err(error), "{to:?}");
    }
}

#[test]
fn a_number_of_the_wrong_length_has_the_texts_of_the_contract() {
    for (to, understood) in [
        ("12345", "12345"),
        ("123456789", "123456789"),
        ("+12345678", "12345678"),
        ("1234567890123456", "1234567890123456"),
        ("1234567890123456@c.us", "1234567890123456@c.us"),
        ("628@example.org", "628@example.org"),
        ("a b@g.us", "a b@g.us"),
        ("status@broadcast", "status@broadcast"),
        ("1-2-3@g.us", "1-2-3@g.us"),
        ("123:x@lid", "123:x@lid"),
    ] {
        let error = InvalidRecipient::Format { understood: understood.to_owned() };
        assert_eq!(error.to_string(), "Invalid phone number format");
        assert!(error.detail().is_some_and(|detail| detail.contains(understood)), "{to:?}");
        assert_eq!(read_recipient(to), Err(error), "{to:?}");
    }
    for to in ["", "   ", "\u{200b}", "\u{feff} "] {
        assert_eq!(read_recipient(to), Err(InvalidRecipient::Missing), "{to:?}");
    }
    for to in ["081234567890", "+081234567890", "081234567890@s.whatsapp.net", "00081234567890"] {
        let error = InvalidRecipient::LeadingZero { rest: "81234567890".to_owned() };
        assert_eq!(read_recipient(to), Err(error), "{to:?}");
    }
}
