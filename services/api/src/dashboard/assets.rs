//! The assets of the dashboard. Their folder is named after their content, so a browser may keep them forever.

use axum::{
    http::{
        HeaderValue,
        header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
    },
    response::{IntoResponse, Response},
};
use ring::digest::{Context, SHA256};
use std::sync::LazyLock;

/// One asset.
#[derive(Clone, Copy)]
pub struct Asset {
    name: &'static str,
    content_type: &'static str,
    content: &'static str,
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! assets {
    ($($name:literal: $content_type:expr,)+) => {
        const ASSETS: &[Asset] = &[$(Asset {
            name: $name,
            content_type: $content_type,
            content: include_str!(concat!("assets/", $name)),
        },)+];
    };
}

assets! {
    "app.js": SCRIPT,
    "api.js": SCRIPT,
    "dom.js": SCRIPT,
    "charts.js": SCRIPT,
    "overview.js": SCRIPT,
    "sessions.js": SCRIPT,
    "messages.js": SCRIPT,
    "life.js": SCRIPT,
    "endpoints.js": SCRIPT,
    "deliveries.js": SCRIPT,
    "send.js": SCRIPT,
    "access.js": SCRIPT,
    "phone.js": SCRIPT,
    "texts-en.js": SCRIPT,
    "texts-id.js": SCRIPT,
    "texts-pt.js": SCRIPT,
    "texts-es.js": SCRIPT,
    "style.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
}

/// `/assets/` and the beginning of a hash over all of them.
static FOLDER: LazyLock<String> = LazyLock::new(|| {
    let mut context = Context::new(&SHA256);
    for asset in ASSETS {
        context.update(asset.name.as_bytes());
        context.update(asset.content.as_bytes());
    }
    format!("/assets/{}", hex::encode(&context.finish().as_ref()[..8]))
});

/// Where the assets are.
pub fn folder() -> &'static str {
    &FOLDER
}

/// The asset of a path.
pub fn find(path: &str) -> Option<Asset> {
    let name = path.strip_prefix(folder())?.strip_prefix('/')?;
    ASSETS.iter().find(|asset| asset.name == name).copied()
}

impl IntoResponse for Asset {
    fn into_response(self) -> Response {
        let headers = [
            (CONTENT_TYPE, HeaderValue::from_static(self.content_type)),
            (CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        ];
        (headers, self.content).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_assets_together_stay_small_and_name_no_other_host() {
        let languages = ASSETS.iter().filter(|asset| asset.name.starts_with("texts-"));
        let largest_language = languages.map(|asset| asset.content.len()).max().unwrap_or_default();
        let others = ASSETS.iter().filter(|asset| !asset.name.starts_with("texts-"));
        let bytes: usize = others.map(|asset| asset.content.len()).sum::<usize>() + largest_language;
        assert!(bytes < 100_000, "{bytes} bytes");
        for asset in ASSETS {
            // An SVG names its namespace, and a field shows what a URL looks like.
            let foreign = ["http://www.w3.org/", "https://example.org/"]
                .iter()
                .fold(asset.content.to_owned(), |text, known| text.replace(known, ""));
            for elsewhere in ["https://", "http://", "//cdn", "@import", "eval(", "innerHTML"] {
                assert!(!foreign.contains(elsewhere), "{}: {elsewhere}", asset.name);
            }
        }
    }

    #[test]
    fn each_text_of_a_page_is_there_in_each_language() {
        let is_texts = |asset: &&Asset| asset.name.starts_with("texts-");
        let mut texts = 0;
        for script in ASSETS.iter().filter(|asset| !is_texts(asset)) {
            // The English text is the key; none has a quotation mark in it.
            for text in script.content.split("t(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                let key = format!("\n  \"{text}\": ");
                let languages = ASSETS.iter().filter(is_texts).filter(|asset| asset.name != "texts-en.js");
                for language in languages.filter(|_| text.starts_with(|c: char| c.is_uppercase())) {
                    assert!(language.content.contains(&key), "{} lacks {text:?} of {}", language.name, script.name);
                }
                texts += 1;
            }
        }
        assert!(texts > 200, "{texts}");
    }
}
