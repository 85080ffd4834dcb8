//! The preview of a link: the page's title, description and picture, as WhatsApp's apps make it on the phone.
//!
//! The page is fetched from where files may be fetched, too (`remote_file`), and is hostile: its size, its time and its
//! redirects are bounded, and only its head is read. A page that gives no preview does not hold the message up for long.

mod page;

use crate::{app_state::AppState, conversion::thumbnail_of, remote_file::RemoteFile};
use futures::{StreamExt as _, TryStreamExt as _};
use kurir_contract::{
    address_guard::NetworkList,
    command::{Base64Bytes, PagePreview},
};
use page::PageHead;
use std::{pin::pin, time::Duration};
use tokio::{task::spawn_blocking, time::timeout};
use url::Url;

/// For the page and its picture together: the caller waits.
const WITHIN: Duration = Duration::from_secs(8);
/// The head of a page comes first; few are larger than a tenth of this.
const LARGEST_PAGE: usize = 512 << 10;
const LARGEST_PICTURE: usize = 5 << 20;
/// Longer ones are cut; the apps show two lines.
const LONGEST_TITLE: usize = 200;
const LONGEST_DESCRIPTION: usize = 400;

/// The preview of the first link of a text, still without the page; none if the text has no link.
pub fn requested(text: &str) -> Option<Box<PagePreview>> {
    let url = first_link(text)?;
    Some(Box::new(PagePreview {
        url: url.to_owned(),
        title: String::new(),
        description: String::new(),
        thumbnail: None,
    }))
}

/// Fetches the page of a preview; takes the preview away if the page gives none.
pub async fn complete(app: &AppState, preview: &mut Option<Box<PagePreview>>) {
    let Some(requested) = preview.take() else { return };
    let fetched = timeout(WITHIN, fetch(&requested.url, &app.media_networks));
    match fetched.await {
        Ok(Some(fetched)) => *preview = Some(Box::new(PagePreview { url: requested.url, ..fetched })),
        Ok(None) => tracing::info!("a text is sent without the preview of its link: the page gives none"),
        Err(_) => tracing::info!("a text is sent without the preview of its link, which did not come in time"),
    }
}

async fn fetch(link: &str, allowed: &NetworkList) -> Option<PagePreview> {
    // The apps take a link without its scheme, too.
    let whole = if link.contains("://") { link.to_owned() } else { format!("https://{link}") };
    let (page, at) = download(&whole, allowed, LARGEST_PAGE, Excess::Cut, "text/html").await?;
    let head = PageHead::parse(&String::from_utf8_lossy(&page));
    let title = shortened(head.title?, LONGEST_TITLE);
    let thumbnail = match head.image.and_then(|image| at.join(&image).ok()) {
        Some(image) => thumbnail(image.as_str(), allowed).await,
        None => None,
    };
    let description = shortened(head.description.unwrap_or_default(), LONGEST_DESCRIPTION);
    Some(PagePreview { url: String::new(), title, description, thumbnail })
}

async fn thumbnail(url: &str, allowed: &NetworkList) -> Option<Base64Bytes> {
    let (picture, _) = download(url, allowed, LARGEST_PICTURE, Excess::Refused, "image/").await?;
    spawn_blocking(move || thumbnail_of(&picture)).await.ok().flatten().map(Base64Bytes)
}

/// What becomes of a file that is larger than its bound.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Excess {
    Cut,
    Refused,
}

/// The beginning of a file of one sort, and from where it came after all redirects.
async fn download(url: &str, allowed: &NetworkList, most: usize, excess: Excess, sort: &str) -> Option<(Vec<u8>, Url)> {
    let file = RemoteFile::open(url, allowed).await;
    let file = file.inspect_err(|error| tracing::debug!("a link's preview: {}", error.message)).ok()?;
    if !file.mimetype.as_deref().is_some_and(|mimetype| mimetype.to_ascii_lowercase().starts_with(sort)) {
        return None;
    }
    let at = file.url().clone();
    let mut chunks = pin!(file.into_chunks().map_err(drop));
    let mut bytes = Vec::new();
    while let Some(Ok(chunk)) = chunks.next().await {
        bytes.extend_from_slice(&chunk[..chunk.len().min(most - bytes.len())]);
        if bytes.len() == most {
            return (excess == Excess::Cut).then_some((bytes, at));
        }
    }
    Some((bytes, at))
}

/// The first link in a text: one that begins with `http://` or `https://`, or with `www.`.
fn first_link(text: &str) -> Option<&str> {
    text.split_whitespace().find_map(|word| {
        let word = word.trim_start_matches(|c: char| "([{<\"'«“".contains(c));
        let lower = word.to_ascii_lowercase();
        if !["http://", "https://", "www."].iter().any(|start| lower.starts_with(start)) {
            return None;
        }
        let link = word.trim_end_matches(|c: char| ".,;:!?\"'»”>]}".contains(c));
        // A bracket at the end belongs to the link only if it was opened in it.
        let link = if link.contains('(') { link } else { link.trim_end_matches(')') };
        (link.len() > "https://".len() || lower.starts_with("www.") && link.len() > "www.".len()).then_some(link)
    })
}

fn shortened(text: String, longest: usize) -> String {
    if text.chars().count() <= longest { text } else { text.chars().take(longest - 1).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_link_of_a_text_is_found_without_its_punctuation() {
        for (text, link) in [
            ("see https://example.org/a?b=c#d, please", Some("https://example.org/a?b=c#d")),
            ("(https://example.org)", Some("https://example.org")),
            (
                "https://en.wikipedia.org/wiki/Courier_(disambiguation)",
                Some("https://en.wikipedia.org/wiki/Courier_(disambiguation)"),
            ),
            ("HTTPS://EXAMPLE.ORG.", Some("HTTPS://EXAMPLE.ORG")),
            ("www.example.org first, http://b.example then", Some("www.example.org")),
            ("line\nhttp://b.example\nline", Some("http://b.example")),
            ("no link: example.org, http://, ftp://a.b", None),
            ("", None),
        ] {
            assert_eq!(first_link(text), link, "{text}");
        }
    }
}
