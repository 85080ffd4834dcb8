//! Size and thumbnail of a picture. A picture is decoded only if it has few enough pixels: a file of some kilobytes can
//! claim to be gigabytes of them.

use image::{
    AnimationDecoder as _, DynamicImage, ExtendedColorType, ImageDecoder as _, ImageReader, Limits,
    codecs::{gif::GifDecoder, jpeg::JpegEncoder},
    metadata::Orientation,
};
use kurir_contract::command::{Base64Bytes, FilePreview};
use std::{
    fs::File,
    io::{BufRead, BufReader, Cursor, Read as _, Seek},
    path::Path,
};

/// A decoded picture, of which two are in memory at once: 53 million pixels of a JPEG. A phone's picture has 12 to 50.
const MOST_BYTES: u64 = 160 << 20;
/// The longer side of a thumbnail, as the apps make it.
const THUMBNAIL: u32 = 100;
/// A thumbnail of this quality has 2 to 5 kB.
const QUALITY: u8 = 60;

/// The size and the thumbnail of a picture; only the size if it has too many pixels or is damaged, and none if it is no
/// picture of a kind that is known.
pub fn image_preview(path: &Path) -> Option<FilePreview> {
    preview(BufReader::new(File::open(path).ok()?))
}

/// A small JPEG of a picture.
pub fn thumbnail_of(picture: &[u8]) -> Option<Vec<u8>> {
    preview(Cursor::new(picture))?.thumbnail.map(|Base64Bytes(thumbnail)| thumbnail)
}

/// The size of a WebP file, and whether it moves.
pub fn sticker_preview(path: &Path) -> Option<FilePreview> {
    let mut head = [0; 21];
    File::open(path).ok()?.read_exact(&mut head).ok()?;
    // The extended header says it; files without one do not move.
    let animated = &head[12..16] == b"VP8X" && head[20] & 0x02 != 0;
    let (width, height) = ImageReader::open(path).ok()?.with_guessed_format().ok()?.into_dimensions().ok()?;
    Some(FilePreview { width: Some(width), height: Some(height), animated, ..FilePreview::default() })
}

/// Whether a GIF has more than one frame. One that is damaged or too large has none.
pub fn is_moving_gif(path: &Path) -> bool {
    let frames = || -> Option<usize> {
        let mut decoder = GifDecoder::new(BufReader::new(File::open(path).ok()?)).ok()?;
        let mut limits = Limits::default();
        limits.max_alloc = Some(MOST_BYTES);
        decoder.set_limits(limits).ok()?;
        Some(decoder.into_frames().take(2).filter(Result::is_ok).count())
    };
    frames() == Some(2)
}

fn preview(source: impl BufRead + Seek) -> Option<FilePreview> {
    let mut reader = ImageReader::new(source).with_guessed_format().ok()?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().ok()?;
    let (width, height) = decoder.dimensions();
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    // A phone turns its picture by a note in the file.
    let is_turned = matches!(
        orientation,
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
    );
    let (shown_width, shown_height) = if is_turned { (height, width) } else { (width, height) };
    let thumbnail = (decoder.total_bytes() <= MOST_BYTES)
        .then(|| DynamicImage::from_decoder(decoder).ok())
        .flatten()
        .and_then(|picture| thumbnail(&picture, orientation));
    let thumbnail = thumbnail.map(Base64Bytes);
    Some(FilePreview { width: Some(shown_width), height: Some(shown_height), thumbnail, ..FilePreview::default() })
}

fn thumbnail(picture: &DynamicImage, orientation: Orientation) -> Option<Vec<u8>> {
    let mut small = picture.thumbnail(THUMBNAIL, THUMBNAIL);
    small.apply_orientation(orientation);
    // JPEG knows no transparency, and what is transparent is nearly always meant to be white.
    let mut rgb = image::RgbImage::new(small.width(), small.height());
    for (into, from) in rgb.pixels_mut().zip(small.to_rgba8().pixels()) {
        let [red, green, blue, alpha] = from.0.map(u32::from);
        // A mean of two bytes is a byte.
        *into = image::Rgb([red, green, blue].map(|part| ((part * alpha + 255 * (255 - alpha)) / 255) as u8));
    }
    let mut jpeg = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut jpeg, QUALITY);
    image::ImageEncoder::write_image(encoder, &rgb, rgb.width(), rgb.height(), ExtendedColorType::Rgb8).ok()?;
    Some(jpeg)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageFormat, Rgba, RgbaImage};

    fn encoded(format: ImageFormat, width: u32, height: u32) -> Vec<u8> {
        let picture = RgbaImage::from_fn(width, height, |x, y| Rgba([x as u8, y as u8, 7, 255]));
        let mut bytes = Cursor::new(Vec::new());
        let picture = DynamicImage::from(picture);
        let picture = if format == ImageFormat::Jpeg { picture.to_rgb8().into() } else { picture };
        picture.write_to(&mut bytes, format).expect("a picture");
        bytes.into_inner()
    }

    fn size(preview: &FilePreview) -> (Option<u32>, Option<u32>) {
        (preview.width, preview.height)
    }

    #[test]
    fn every_kind_of_picture_has_a_size_and_a_thumbnail() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP] {
            let preview = preview(Cursor::new(encoded(format, 300, 150))).expect("a preview");
            assert_eq!(size(&preview), (Some(300), Some(150)), "{format:?}");
            let Base64Bytes(thumbnail) = preview.thumbnail.expect("a thumbnail");
            let small = image::load_from_memory_with_format(&thumbnail, ImageFormat::Jpeg).expect("a JPEG");
            assert_eq!((small.width(), small.height()), (100, 50), "{format:?}");
            assert!(thumbnail.len() < 8_000, "{format:?}: {}", thumbnail.len());
        }
    }

    #[test]
    fn a_picture_that_a_phone_turned_is_shown_upright() {
        let mut jpeg = encoded(ImageFormat::Jpeg, 300, 150);
        // EXIF with one entry: orientation 6, a quarter to the right.
        let exif: &[u8] = b"\xff\xe1\0\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        jpeg.splice(2..2, exif.iter().copied());
        let preview = preview(Cursor::new(jpeg)).expect("a preview");
        assert_eq!(size(&preview), (Some(150), Some(300)));
        let Base64Bytes(thumbnail) = preview.thumbnail.expect("a thumbnail");
        let small = image::load_from_memory(&thumbnail).expect("a JPEG");
        assert_eq!((small.width(), small.height()), (50, 100));
    }

    #[test]
    fn a_picture_of_too_many_pixels_is_not_decoded() {
        let mut png = encoded(ImageFormat::Png, 16, 16);
        // The size stands behind the signature and the chunk's head; its checksum is the chunk's.
        png[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
        let checksum = crc(&png[12..29]);
        png[29..33].copy_from_slice(&checksum.to_be_bytes());
        let preview = preview(Cursor::new(png)).expect("a preview");
        assert_eq!((size(&preview), preview.thumbnail), ((Some(65_535), Some(65_535)), None));
    }

    #[test]
    fn damaged_pictures_have_no_thumbnail_and_do_no_harm() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP] {
            let whole = encoded(format, 64, 64);
            for length in (0..whole.len()).step_by(7) {
                let _ = preview(Cursor::new(&whole[..length]));
                let mut damaged = whole.clone();
                damaged[length] ^= 0xff;
                let _ = preview(Cursor::new(damaged));
            }
        }
        assert_eq!(preview(Cursor::new(b"GIF89a".to_vec())), None);
        assert_eq!(preview(Cursor::new(b"<svg/>".to_vec())), None);
    }

    fn crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
        })
    }
}
