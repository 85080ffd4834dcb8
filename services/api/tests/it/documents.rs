//! The page about the API names every route, and the README every command.

use std::{collections::BTreeSet, fs, path::Path};

#[test]
fn the_documents_name_every_route() {
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

    let readme = fs::read_to_string(here.join("../../README.md")).expect("the README");
    let commands = routes.iter().filter_map(|route| route.split_once(" /api/whatsapp/"));
    let missing: Vec<_> = commands.filter(|(_, command)| !readme.contains(&format!("`{command}`"))).collect();
    assert!(missing.is_empty(), "the README lacks {missing:?}");
}
