//! A QR code as a picture in the terminal, two rows of it to a line of text.

use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};

/// Shows a pairing code to whoever looks at the terminal.
pub fn print_code(code: &str) {
    match render_code(code) {
        Some(picture) => {
            eprintln!("\nScan this with WhatsApp: Settings, Linked devices, Link a device.\n\n{picture}\n");
        }
        // The text is in `connection.status` and in the API, so nothing is lost but the picture.
        None => tracing::warn!("the pairing code is too long for a QR picture"),
    }
}

/// Dark modules are left empty and light ones filled, because most terminals are dark.
fn render_code(code: &str) -> Option<String> {
    // The lowest correction: a screen has no dirt, and a smaller picture fits more terminals.
    let qr = QrCode::with_error_correction_level(code, EcLevel::L).ok()?;
    Some(qr.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).quiet_zone(true).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pairing_code_becomes_a_picture() {
        let code = format!("2@{},{},{},{},1", "r".repeat(160), "n".repeat(44), "i".repeat(44), "a".repeat(44));
        let picture = render_code(&code).expect("fits");
        assert!(picture.lines().count() > 30, "{picture}");
        assert!(picture.lines().all(|line| line.chars().count() < 90), "{picture}");
    }
}
