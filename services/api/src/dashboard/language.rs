//! The language of a page: the one that the user chose on it, else the first of the browser's that there is.

use axum::http::{
    HeaderMap,
    header::{ACCEPT_LANGUAGE, COOKIE},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    English,
    Indonesian,
    Portuguese,
    Spanish,
}

/// The page's script sets it.
const COOKIE_NAME: &str = "kurir_language=";

impl Language {
    pub const ALL: [Self; 4] = [Self::English, Self::Indonesian, Self::Portuguese, Self::Spanish];

    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Indonesian => "id",
            Self::Portuguese => "pt",
            Self::Spanish => "es",
        }
    }

    fn of_code(code: &str) -> Option<Self> {
        let code = code.trim().to_ascii_lowercase();
        let base = code.split('-').next().unwrap_or_default().to_owned();
        // Some browsers still send the old code of Indonesian.
        let base = if base == "in" { "id" } else { base.as_str() };
        Self::ALL.into_iter().find(|language| language.code() == base)
    }

    pub fn wanted(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let chosen = text(COOKIE).split(';').find_map(|pair| pair.trim().strip_prefix(COOKIE_NAME));
        let of_browser = text(ACCEPT_LANGUAGE).split(',').map(|one| one.split(';').next().unwrap_or_default());
        chosen
            .and_then(Self::of_code)
            .or_else(|| of_browser.into_iter().find_map(Self::of_code))
            .unwrap_or(Self::English)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn a_choice_goes_before_the_browsers_languages() {
        for (cookie, accept, expected) in [
            ("", "", "en"),
            ("", "de-DE,de;q=0.9,pt-BR;q=0.8,en;q=0.7", "pt"),
            ("", "in-ID", "id"),
            ("a=b; kurir_language=es", "id", "es"),
            ("kurir_language=xx", "id", "id"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, HeaderValue::from_static(cookie));
            headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static(accept));
            assert_eq!(Language::wanted(&headers).code(), expected, "{cookie} {accept}");
        }
    }
}
