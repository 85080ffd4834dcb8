//! The part of an endpoint's URL that is sent in a request.

use anyhow::Context as _;
use http::Uri;
use url::Url;

/// Removes the fragment, the user and the password from a URL.
///
/// # Errors
/// If the URL cannot be requested.
pub fn request_uri(url: &Url) -> anyhow::Result<Uri> {
    let mut bare = url.clone();
    bare.set_fragment(None);
    // This fails only for a URL without a host, which has no user to remove.
    let _ = bare.set_username("");
    let _ = bare.set_password(None);
    bare.as_str().parse().context("failed to use the webhook's URL")
}
