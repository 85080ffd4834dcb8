//! Title, description and picture in the head of a page. Pure.
//!
//! A page is read as far as its `<body>`, tag by tag and without a tree: a tag that does not end, nesting and scripts cost
//! nothing.

/// What a page says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageHead {
    pub title: Option<String>,
    pub description: Option<String>,
    /// The address of a picture, perhaps relative to the page.
    pub image: Option<String>,
}

/// The names of the fields, the best first.
const TITLES: [&str; 2] = ["og:title", "twitter:title"];
const DESCRIPTIONS: [&str; 3] = ["og:description", "twitter:description", "description"];
const IMAGES: [&str; 4] = ["og:image:secure_url", "og:image", "og:image:url", "twitter:image"];

impl PageHead {
    pub fn parse(page: &str) -> Self {
        let mut fields: Vec<(String, String)> = Vec::new();
        let mut title = None;
        let mut rest = page;
        while let Some(start) = rest.find('<') {
            rest = &rest[start + 1..];
            if let Some(comment) = rest.strip_prefix("!--") {
                rest = comment.split_once("-->").map_or("", |(_, after)| after);
                continue;
            }
            let Some((tag, after)) = split_tag(rest) else { break };
            let name: String =
                tag.chars().take_while(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
            rest = after;
            match name.as_str() {
                "body" => break,
                "script" | "style" | "noscript" | "template" => rest = after_end(rest, &name).1,
                "title" if title.is_none() => {
                    let (text, after) = after_end(rest, "title");
                    title = clean(text);
                    rest = after;
                }
                "meta" => {
                    let attributes = Attributes(&tag[name.len()..]);
                    let named = attributes.get("property").or_else(|| attributes.get("name"));
                    if let (Some(named), Some(content)) =
                        (named, attributes.get("content").and_then(|text| clean(&text)))
                    {
                        fields.push((named.trim().to_ascii_lowercase(), content));
                    }
                }
                _ => {}
            }
        }
        let first = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| fields.iter().find(|(named, _)| named == name))
                .map(|(_, content)| content.clone())
        };
        Self { title: first(&TITLES).or(title), description: first(&DESCRIPTIONS), image: first(&IMAGES) }
    }
}

/// A tag up to its `>`, which may stand in a quoted attribute, and what follows.
fn split_tag(rest: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (at, c) in rest.char_indices() {
        match (quote, c) {
            (None, '>') => return Some((&rest[..at], &rest[at + 1..])),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    None
}

/// The text up to the end of an element, and what follows it.
fn after_end<'a>(rest: &'a str, name: &str) -> (&'a str, &'a str) {
    let mut from = 0;
    while let Some(at) = rest[from..].find("</").map(|at| from + at) {
        let end = at + 2 + name.len();
        if rest.get(at + 2..end).is_some_and(|found| found.eq_ignore_ascii_case(name)) {
            return (&rest[..at], rest[end..].split_once('>').map_or("", |(_, after)| after));
        }
        from = at + 2;
    }
    (rest, "")
}

/// The attributes of a tag.
struct Attributes<'a>(&'a str);

impl Attributes<'_> {
    fn get(&self, wanted: &str) -> Option<String> {
        let mut rest = self.0;
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
            let length = rest.find(|c: char| c.is_whitespace() || c == '=' || c == '/').unwrap_or(rest.len());
            if length == 0 && !rest.starts_with('=') {
                return None;
            }
            let name = &rest[..length];
            rest = rest[length..].trim_start();
            let Some(after) = rest.strip_prefix('=') else { continue };
            let after = after.trim_start();
            let (value, after) = match after.chars().next() {
                Some(quote @ ('"' | '\'')) => after[1..].split_once(quote).unwrap_or((&after[1..], "")),
                Some(_) => after.split_at(after.find(char::is_whitespace).unwrap_or(after.len())),
                None => ("", ""),
            };
            if name.eq_ignore_ascii_case(wanted) {
                return Some(value.to_owned());
            }
            rest = after;
        }
    }
}

/// A text of HTML as plain text on one line; none if it is empty.
fn clean(html: &str) -> Option<String> {
    let text = unescape(html);
    // Characters that turn the direction of writing can make a name look like another one.
    let is_bad = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || is_bad(c)).filter(|word| !word.is_empty()).collect();
    Some(words.join(" ")).filter(|text| !text.is_empty())
}

fn unescape(html: &str) -> String {
    /// The longest name of an entity that is read.
    const LONGEST: usize = 10;
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('&') {
        text.push_str(before);
        let entity = after.char_indices().take(LONGEST).find(|(_, c)| *c == ';').map(|(end, _)| &after[..end]);
        match entity.and_then(|name| Some((name, character(name)?))) {
            Some((name, character)) => {
                text.push(character);
                rest = &after[name.len() + 1..];
            }
            None => {
                text.push('&');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

fn character(entity: &str) -> Option<char> {
    if let Some(number) = entity.strip_prefix('#') {
        let number = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(number);
    }
    Some(match entity {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        "middot" => '·',
        "copy" => '©',
        "reg" => '®',
        "laquo" => '«',
        "raquo" => '»',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(title: &str, description: &str, image: &str) -> PageHead {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        PageHead { title: some(title), description: some(description), image: some(image) }
    }

    #[test]
    fn the_head_of_a_page_is_read_however_it_is_written() {
        for (page, expected) in [
            ("<title>Plain</title>", head("Plain", "", "")),
            (
                r#"<html><head><META Property='og:title' CONTENT='A &amp; B &#8212; &#x263a;'/>
                   <meta content="Two
                   lines" name="description"><meta property=og:image content=/a.png></head>"#,
                head("A & B — ☺", "Two lines", "/a.png"),
            ),
            (
                r#"<meta name="twitter:title" content="T"><title>Own</title><meta property="og:title" content="O">"#,
                head("O", "", ""),
            ),
            (r#"<script>var a = "<title>No</title>";</script><TITLE lang="en">Yes</TITLE >"#, head("Yes", "", "")),
            (r#"<!-- <title>No</title> --><title>Yes</title>"#, head("Yes", "", "")),
            (r#"<meta property="og:title" content="a > b">"#, head("a > b", "", "")),
            ("<body><title>In the body</title>", head("", "", "")),
            ("<title>&unknown; & &amp</title>", head("&unknown; & &amp", "", "")),
        ] {
            assert_eq!(PageHead::parse(page), expected, "{page}");
        }
    }

    #[test]
    fn broken_pages_end() {
        for page in [
            "<",
            "<<<<",
            "<meta",
            "<meta content",
            "<meta =",
            "<meta = = property",
            "<title>never ends",
            "<!-- never ends",
            "<script>never ends",
            "<meta content=\"never ends",
            "<meta property='' content=''>",
            "<title>\u{202e}</title>",
            "&#xffffffff; &#55296; <title>&#xd800;</title>",
            "<ü><title>ü",
            "<meta a==b c=\"\" =>",
        ] {
            let _ = PageHead::parse(page);
        }
        assert_eq!(PageHead::parse(&"<meta ".repeat(50_000)), PageHead::default());
        assert_eq!(PageHead::parse(&"</".repeat(200_000)), PageHead::default());
    }

    #[test]
    fn fuzz_pages() {
        kurir_fuzz::run("pages", |input| {
            let page = PageHead::parse(&String::from_utf8_lossy(input));
            let longest = input.len() * 3;
            let texts = [&page.title, &page.description, &page.image];
            assert!(texts.into_iter().flatten().all(|text| text.len() <= longest));
        });
    }
}
