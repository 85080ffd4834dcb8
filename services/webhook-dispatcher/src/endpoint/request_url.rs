//! What of an endpoint's URL is part of a request.

use anyhow::Context as _;
use http::Uri;
use url::Url;

/// A URL without what is no part of a request: the fragment, and user and password.
///
/// # Errors
/// If it cannot be requested.
pub fn request_uri(url: &Url) -> anyhow::Result<Uri> {
    let mut bare = url.clone();
    bare.set_fragment(None);
    // Refused only for a URL without a host, and then there is no user to remove.
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    bare.as_str().parse().context("failed to use the webhook's URL")
}
