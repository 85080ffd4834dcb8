//! Prints a QR code in the terminal, two rows of modules in one line of text.

use qrcode::{EcLevel, QrCode, render::unicode::Dense1x2};

/// Prints a pairing code in the terminal.
pub fn print_code(code: &str) {
    match render_code(code) {
        Some(picture) => {
            eprintln!("\nScan this with WhatsApp: Settings, Linked devices, Link a device.\n\n{picture}\n");
        }
        // `connection.status` and the API have the code as text, so only the picture is missing.
        None => tracing::warn!("the pairing code is too long for a QR picture"),
    }
}

/// Leaves dark modules empty and fills light ones, because most terminals are dark.
fn render_code(code: &str) -> Option<String> {
    // The lowest error correction: a screen has no dirt, and a smaller picture fits more terminals.
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
