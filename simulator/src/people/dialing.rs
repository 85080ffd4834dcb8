//! Two ways to dial one person. In some countries a mobile number is dialled with and without a digit in the middle,
//! and WhatsApp registers one of the two: only that one is an address, and the number check answers with it.
//! Known from clients that convert such numbers; which of the two WhatsApp keeps for one person cannot be computed for sure.

use crate::phone_number::PhoneNumber;

/// Area codes of Brazil below this one keep the ninth digit.
const NINTH_DIGIT_BELOW: u8 = 31;

/// The form of the number under which WhatsApp registers its owner, unless a contact is told otherwise.
pub fn registered_form(number: &PhoneNumber) -> PhoneNumber {
    other_form(number.as_str()).and_then(|other| other.parse().ok()).unwrap_or_else(|| number.clone())
}

/// None if the number is registered as it is.
fn other_form(digits: &str) -> Option<String> {
    let (country, rest) = digits.split_at_checked(2)?;
    match (country, rest.len()) {
        ("55", 10 | 11) => {
            let (area, subscriber) = rest.split_at_checked(2)?;
            let keeps_ninth = area.parse::<u8>().ok()? < NINTH_DIGIT_BELOW;
            match (keeps_ninth, subscriber.strip_prefix('9').filter(|_| subscriber.len() == 9)) {
                (false, Some(short)) => Some(format!("55{area}{short}")),
                // Landlines begin with 2 to 5 and have no ninth digit.
                (true, None) if subscriber.starts_with(['6', '7', '8', '9']) => Some(format!("55{area}9{subscriber}")),
                _ => None,
            }
        }
        ("52", 10) => Some(format!("521{rest}")),
        ("54", 10) => Some(format!("549{rest}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_three_countries_have_one_registered_form() {
        let table = [
            ("5511987654321", "5511987654321"),
            ("551187654321", "5511987654321"),
            ("551133334444", "551133334444"),
            ("5531987654321", "553187654321"),
            ("553187654321", "553187654321"),
            ("525512345678", "5215512345678"),
            ("5215512345678", "5215512345678"),
            ("541112345678", "5491112345678"),
            ("5491112345678", "5491112345678"),
            ("15550200001", "15550200001"),
            ("551", "551"),
        ];
        for (dialled, registered) in table {
            let Ok(number) = dialled.parse::<PhoneNumber>() else { continue };
            assert_eq!(registered_form(&number).as_str(), registered, "{dialled}");
            // A registered form is its own.
            assert_eq!(registered_form(&registered_form(&number)), registered_form(&number), "{dialled}");
        }
    }
}
