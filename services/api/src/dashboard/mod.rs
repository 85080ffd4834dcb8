//! The dashboard at `/`: one page for each language and its assets, all within the binary.
//!
//! A browser (`Accept: text/html`) gets the page, and every other caller what it got before. The page asks the API for
//! everything else, with the cookie of `routes::login`. It asks no other host for anything, and runs no inline script.

mod assets;
mod language;

use crate::{app_state::AppState, response};
use askama::Template;
use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{
            ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
};
use language::Language;

/// Pages of the dashboard; the script reads the path.
const PAGES: [&str; 13] = [
    "/",
    "/sessions",
    "/messages",
    "/endpoints",
    "/deliveries",
    "/dead-letters",
    "/send",
    "/jobs",
    "/keys",
    "/audit",
    "/events",
    "/phone",
    "/login",
];
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self'; \
    connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    language: &'a str,
    /// The folder of the assets, which changes with their content.
    assets: &'a str,
    /// Empty: nobody is logged in.
    csrf_token: &'a str,
    key_name: &'a str,
    scopes: String,
    version: &'a str,
    /// Whether WhatsApp is simulated.
    is_demo: bool,
}

/// What is no route: a page or an asset of the dashboard, or the answer for a path that does not exist.
pub async fn show_page_or_not_found(State(app): State<AppState>, request: Request) -> Response {
    let is_read = request.method() == Method::GET || request.method() == Method::HEAD;
    let path = request.uri().path();
    if is_read {
        if let Some(asset) = assets::find(path) {
            return asset.into_response();
        }
        if is_page(path) && wants_html(request.headers()) {
            return show_page(&app, request.headers());
        }
    }
    response::route_not_found().await.into_response()
}

/// A page, or something below one, as `/endpoints/ep_1`.
fn is_page(path: &str) -> bool {
    PAGES.contains(&path)
        || PAGES.iter().skip(1).any(|page| path.strip_prefix(page).is_some_and(|rest| rest.starts_with('/')))
}

/// Whether the caller names HTML, as browsers do: a program that takes anything gets JSON.
fn wants_html(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accept.flat_map(|value| value.split(',')).any(|one| one.split(';').next().unwrap_or_default().trim() == "text/html")
}

fn show_page(app: &AppState, headers: &HeaderMap) -> Response {
    let login = app.login_cookies.read(headers, &app.api_key, &app.keys);
    let (caller, csrf_token) = login.unzip();
    let scopes = caller.iter().flat_map(|caller| &caller.scopes).map(|scope| scope.as_str()).collect::<Vec<_>>();
    let page = Page {
        language: Language::wanted(headers).code(),
        assets: assets::folder(),
        csrf_token: csrf_token.as_deref().unwrap_or_default(),
        key_name: caller.as_ref().map(|caller| caller.key_name.as_str()).unwrap_or_default(),
        scopes: scopes.join(" "),
        version: env!("CARGO_PKG_VERSION"),
        is_demo: app.simulator_url.is_some(),
    };
    let Ok(html) = page.render() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let headers: [(HeaderName, HeaderValue); 6] = [
        (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (VARY, HeaderValue::from_static("accept, accept-language, cookie")),
    ];
    (headers, html).into_response()
}
