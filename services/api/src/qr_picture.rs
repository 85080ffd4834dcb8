//! A QR code as a picture: PNG or SVG, dark on light in any colour scheme, since a camera reads it.

use png::{BitDepth, ColorType, Encoder};
use qrcode::{Color, QrCode};
use std::fmt::Write as _;

/// Pixels per module, and light modules around the code, as the standard asks for.
const SCALE: usize = 8;
const MARGIN: usize = 4;

/// None if the text is too long for a QR code.
pub fn draw_png(text: &str) -> Option<Vec<u8>> {
    let code = QrCode::new(text).ok()?;
    let side = (code.width() + 2 * MARGIN) * SCALE;
    let pixels = (0..side).flat_map(|y| (0..side).map(move |x| (x / SCALE, y / SCALE)));
    let shades: Vec<u8> = pixels.map(|place| if is_dark(&code, place) { 0 } else { 255 }).collect();
    let mut picture = Vec::new();
    let side = u32::try_from(side).ok()?;
    let mut encoder = Encoder::new(&mut picture, side, side);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(BitDepth::Eight);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(&shades).ok()?;
    writer.finish().ok()?;
    Some(picture)
}

/// None if the text is too long for a QR code.
pub fn draw_svg(text: &str) -> Option<String> {
    let code = QrCode::new(text).ok()?;
    let side = code.width() + 2 * MARGIN;
    let places = (0..side).flat_map(|y| (0..side).map(move |x| (x, y)));
    let mut path = String::new();
    for (x, y) in places.filter(|place| is_dark(&code, *place)) {
        // Writing into a String cannot fail.
        let _ = write!(path, "M{x} {y}h1v1h-1z");
    }
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\" \
         role=\"img\" aria-label=\"QR code\"><path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/>\
         <path fill=\"#000\" d=\"{path}\"/></svg>"
    ))
}

fn is_dark(code: &QrCode, (x, y): (usize, usize)) -> bool {
    let module = |place: usize| place.checked_sub(MARGIN).filter(|place| *place < code.width());
    module(x).zip(module(y)).is_some_and(|place| code[place] == Color::Dark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_pictures_show_the_same_modules() {
        let text = "2@".to_owned() + &"a1B/+,".repeat(40);
        let (svg, png) = (draw_svg(&text).expect("it fits"), draw_png(&text).expect("it fits"));
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("a size")];
        let side = reader.next_frame(&mut pixels).expect("a frame").width as usize;
        let modules = side / SCALE;
        for y in 0..modules {
            for x in 0..modules {
                let is_black = pixels[(y * SCALE + 3) * side + x * SCALE + 3] == 0;
                assert_eq!(is_black, svg.contains(&format!("M{x} {y}h1v1h-1z")), "{x} {y}");
            }
        }
        assert_eq!((draw_svg(&"x".repeat(5_000)), draw_png(&"x".repeat(5_000))), (None, None));
    }
}
