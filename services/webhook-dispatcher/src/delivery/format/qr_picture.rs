//! A QR code as a picture in a data URL: flows for Evolution API pass it on as it is.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use png::{BitDepth, ColorType, Encoder};
use qrcode::{Color, QrCode};

/// Pixels per module, and white modules around the code, as Evolution API draws it. A camera needs no more.
const SCALE: usize = 4;
const MARGIN: usize = 3;

/// `data:image/png;base64,…`; none if the text is too long for a QR code.
pub fn data_url(text: &str) -> Option<String> {
    let picture = png(&QrCode::new(text).ok()?)?;
    Some(format!("data:image/png;base64,{}", BASE64_STANDARD.encode(picture)))
}

fn png(code: &QrCode) -> Option<Vec<u8>> {
    let modules = code.width();
    let side = (modules + 2 * MARGIN) * SCALE;
    let is_dark = |x: usize, y: usize| {
        let place = |pixel: usize| (pixel / SCALE).checked_sub(MARGIN).filter(|&place| place < modules);
        place(x).zip(place(y)).is_some_and(|place| code[place] == Color::Dark)
    };
    // One bit for each pixel; 1 is white. Each row starts with a new byte.
    let rows = (0..side).flat_map(|y| {
        (0..side.div_ceil(8)).map(move |byte| {
            (0..8).fold(0, |bits: u8, bit| {
                let x = byte * 8 + bit;
                bits << 1 | u8::from(x >= side || !is_dark(x, y))
            })
        })
    });
    let mut picture = Vec::new();
    let side_in_file = u32::try_from(side).ok()?;
    let mut encoder = Encoder::new(&mut picture, side_in_file, side_in_file);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(BitDepth::One);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(&rows.collect::<Vec<u8>>()).ok()?;
    writer.finish().ok()?;
    Some(picture)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn the_picture_shows_the_code() {
        let text = "2@".to_owned() + &"a1B/+,".repeat(40);
        let url = data_url(&text).unwrap();
        let picture = BASE64_STANDARD.decode(url.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        assert!(picture.len() < 10_000, "{} bytes", picture.len());
        let mut decoder = png::Decoder::new(Cursor::new(picture));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let shown = reader.next_frame(&mut pixels).unwrap();

        let code = QrCode::new(&text).unwrap();
        let side = (code.width() + 2 * MARGIN) * SCALE;
        assert_eq!((shown.width as usize, shown.height as usize), (side, side));
        for y in 0..code.width() {
            for x in 0..code.width() {
                let pixel = |place: usize| (place + MARGIN) * SCALE + SCALE / 2;
                let expected = if code[(x, y)] == Color::Dark { 0 } else { 255 };
                assert_eq!(pixels[pixel(y) * side + pixel(x)], expected, "{x}, {y}");
            }
        }
        assert!(pixels[..side * MARGIN * SCALE].iter().all(|&pixel| pixel == 255), "the margin is white");
    }

    #[test]
    fn a_text_too_long_for_a_code_has_no_picture() {
        assert_eq!(data_url(&"x".repeat(10_000)), None);
    }
}
