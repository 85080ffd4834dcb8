//! `docs/` is a book: the summary names every page once, and the guides name only routes that exist.

use crate::documents::try_which;
use kurir_test_harness::binaries::repository;
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path, process::Command};

/// Pages of the folder that are none of the book.
const OUTSIDE: [&str; 1] = ["SUMMARY.md"];

fn pages(folder: &Path, within: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = format!("{within}{}", entry.file_name().into_string().unwrap());
        if entry.path().is_dir() {
            if name != "book" {
                pages(&entry.path(), &format!("{name}/"), found);
            }
        } else if name.ends_with(".md") && !OUTSIDE.contains(&name.as_str()) {
            found.insert(name);
        }
    }
}

#[test]
fn the_summary_names_every_page_once_and_no_other() {
    let docs = repository().join("docs");
    let summary = fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let mut named = BTreeSet::new();
    for target in summary.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        assert!(named.insert(target.to_owned()), "{target} is in the summary twice");
    }
    let mut there = BTreeSet::new();
    pages(&docs, "", &mut there);
    assert_eq!(named, there);
}

/// The names that link to a part of a page, as mdBook and GitHub make them of its headings.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let anchor = |heading: &str| -> String {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_to_a_part_of_a_page_finds_its_heading() {
    let docs = repository().join("docs");
    let mut there = BTreeSet::new();
    pages(&docs, "", &mut there);
    let mut dead = Vec::new();
    for page in &there {
        let file = docs.join(page);
        let text = fs::read_to_string(&file).unwrap();
        for target in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            let Some((other, anchor)) = target.split_once('#').filter(|_| !target.starts_with("http")) else {
                continue;
            };
            let other = if other.is_empty() { file.clone() } else { file.parent().unwrap().join(other) };
            let is_page = other.extension().is_some_and(|extension| extension == "md");
            if is_page && !anchors(&fs::read_to_string(&other).unwrap_or_default()).contains(anchor) {
                dead.push(format!("{page}: {target}"));
            }
        }
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

#[test]
fn the_guides_name_only_routes_that_exist() {
    let document = fs::read_to_string(repository().join("docs/openapi.json")).unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    let paths = document["paths"].as_object().unwrap();
    // The name of a parameter is not the route's.
    let plain = |path: &str| {
        let parts = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
        parts.collect::<Vec<_>>().join("/").replace("/sessions/{}/whatsapp", "/whatsapp")
    };
    let known: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys().map(|method| method.to_uppercase());
            methods.map(move |method| (method, plain(path)))
        })
        .collect();
    let mut checked = 0;
    for guide in ["evolution-api", "waha"] {
        let page = fs::read_to_string(repository().join(format!("docs/moving-from-{guide}.md"))).unwrap();
        for row in page.lines().filter(|line| line.starts_with('|')) {
            let Some(ours) = row.split('|').nth(2) else { continue };
            for route in ours.split('`').skip(1).step_by(2) {
                let Some((method, path)) = route.split_once(' ').filter(|(_, path)| path.starts_with('/')) else {
                    continue;
                };
                assert!(known.contains(&(method.to_owned(), plain(path))), "{guide}: {route}");
                checked += 1;
            }
        }
    }
    assert!(checked > 30, "{checked}");
}

#[test]
fn mdbook_builds_the_book() {
    let Some(mdbook) = try_which("mdbook") else {
        eprintln!("SKIPPED: mdbook is not installed, so the book was not built");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let built =
        Command::new(mdbook).arg("build").arg("--dest-dir").arg(folder.path()).arg(repository().join("docs")).output();
    let built = built.unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    for page in ["index.html", "api.html", "decisions/0001-the-hook-waits-for-the-broker.html"] {
        assert!(folder.path().join(page).exists(), "{page}");
    }
}
