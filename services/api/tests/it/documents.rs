//! The page about the API names every route.

use std::{collections::BTreeSet, fs, path::Path};

#[test]
fn the_page_about_the_api_has_every_route() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let router = fs::read_to_string(here.join("src/router.rs")).expect("the router");
    let page = fs::read_to_string(here.join("../../docs/api.md")).expect("the page");
    let routes: BTreeSet<_> = router
        .split(".route(\"")
        .skip(1)
        .map(|route| {
            let (path, rest) = route.split_once("\", ").expect("a path");
            let (method, _) = rest.split_once('(').expect("a method");
            let prefix = if path.starts_with("/whatsapp") { "/api" } else { "" };
            format!("{} {prefix}{path}", method.to_uppercase())
        })
        .collect();
    assert_eq!(routes.len(), 83, "{routes:?}");
    let missing: Vec<_> = routes.iter().filter(|route| !page.contains(&format!("`{route}`"))).collect();
    assert!(missing.is_empty(), "docs/api.md lacks {missing:?}");
}
