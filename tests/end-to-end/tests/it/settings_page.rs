//! `docs/configuration.md`, `.env.example` and the compose file know every setting of every program, from what `--help` prints.
//!
//! `make settings` writes the page's tables and the example.

use kurir_test_harness::binaries::{binary, repository};
use std::{collections::BTreeMap, fmt::Write as _, fs, process::Command};

/// Each program, as its heading on the page names it, and its binary.
const PROGRAMS: [(&str, &str); 5] = [
    ("api", "kurir-api"),
    ("webhook-dispatcher", "kurir-webhook-dispatcher"),
    ("gateway", "kurir-gateway-for-simulator"),
    ("whatsapp-simulator", "whatsapp-simulator"),
    ("kurir", "kurir"),
];
const BEGIN: &str = "<!-- The tables below are written by `make settings`. -->\n";
const END: &str = "<!-- The tables above are written by `make settings`. -->\n";

const ENV_EXAMPLE_HEAD: &str = "\
# Every setting of Kurir's services. Copy this file to .env and take the mark `#` away from the lines that you change;
# `make up` and docker-compose read it there. Written by `make settings`; docs/configuration.md says the same as tables.
#
# What most installations set: API_KEY (openssl rand -hex 32), SECRETS_KEY (openssl rand -hex 32), WEBHOOK_URL.
";
const ENV_EXAMPLE_WIDTH: usize = 118;

/// Settings that the compose file decides itself: where the parts find each other, and what is inside a container.
const DECIDED_BY_COMPOSE: [&str; 13] = [
    "WHATSAPP_SESSION_PATH",
    "LOG_FILE",
    "NATS_URL",
    "NATS_USER",
    "NATS_PASSWORD",
    "NATS_PASSWORD_FILE",
    "NATS_CREDS_FILE",
    "NATS_NKEY_FILE",
    "NATS_CA_FILE",
    "NATS_CERT_FILE",
    "NATS_KEY_FILE",
    // deploy/compose/tls.yml
    "TLS_CERT_FILE",
    "TLS_KEY_FILE",
];

#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    variable: String,
    flag: String,
    default: String,
    help: String,
}

/// The settings of a program in the order of its help.
fn settings(program: &str) -> Vec<Setting> {
    let shown = Command::new(binary(program)).arg("--help").env_clear().output().unwrap();
    assert!(shown.status.success(), "{program} --help: {}", shown.status);
    let help = String::from_utf8(shown.stdout).unwrap();
    let options = help.split_once("Options:\n").unwrap_or_else(|| panic!("{program} has no options:\n{help}")).1;
    let mut blocks: Vec<Vec<&str>> = Vec::new();
    for line in options.lines() {
        if line.trim_start().starts_with('-') && line.len() - line.trim_start().len() < 8 {
            blocks.push(Vec::new());
        }
        if let Some(block) = blocks.last_mut() {
            block.push(line.trim());
        }
    }
    blocks.iter().filter_map(|block| parse_option(&block.join(" "))).collect()
}

/// One option of the help; none without a variable.
fn parse_option(block: &str) -> Option<Setting> {
    let tag = |name: &str| {
        let rest = block.split_once(&format!("[{name}: "))?.1;
        Some(rest.split_once(']')?.0.to_owned())
    };
    let variable = tag("env")?.trim_end_matches('=').to_owned();
    let flag = block.split_whitespace().find(|word| word.starts_with("--"))?.to_owned();
    let text = block.split_once("> ").map_or("", |(_, text)| text);
    let text = text.split(" [env: ").next()?.split(" [default: ").next()?.trim();
    let mut help = text.split_whitespace().collect::<Vec<_>>().join(" ").replace(" Possible values:", " Values:");
    if let Some(values) = tag("possible values").filter(|values| values != "true, false") {
        write!(help, " ({values})").ok()?;
    }
    Some(Setting { variable, flag, default: tag("default").unwrap_or_default(), help })
}

/// Variables with the programs that read them; the text of the first program stands.
fn by_variable() -> BTreeMap<String, (Vec<&'static str>, Setting)> {
    let mut variables: BTreeMap<String, (Vec<&str>, Setting)> = BTreeMap::new();
    for (name, program) in PROGRAMS {
        for setting in settings(program) {
            variables.entry(setting.variable.clone()).or_insert_with(|| (Vec::new(), setting)).0.push(name);
        }
    }
    variables
}

/// The settings by the programs that read them: what all have first, then in the order of the programs.
fn groups() -> Vec<(Vec<&'static str>, Vec<Setting>)> {
    let mut groups: BTreeMap<Vec<&str>, Vec<Setting>> = BTreeMap::new();
    for (programs, setting) in by_variable().into_values() {
        groups.entry(programs).or_default().push(setting);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    // What all have first, then in the order of the programs.
    groups.sort_by_key(|(programs, _)| {
        (usize::MAX - programs.len(), PROGRAMS.iter().position(|(name, _)| Some(name) == programs.first()))
    });
    groups
}

fn tables() -> String {
    let mut page = String::new();
    for (programs, settings) in groups() {
        write!(page, "\n## {}\n\n| variable | default | meaning |\n|---|---|---|\n", programs.join(", ")).unwrap();
        for Setting { variable, default, help, .. } in settings {
            let default = if default.is_empty() { "none".to_owned() } else { format!("`{default}`") };
            writeln!(page, "| `{variable}` | {default} | {} |", help.replace('|', "\\|")).unwrap();
        }
    }
    page.push('\n');
    page
}

#[test]
fn settings_page_lists_every_setting() {
    let path = repository().join("docs/configuration.md");
    let page = fs::read_to_string(&path).unwrap();
    let (head, rest) = page.split_once(BEGIN).expect("the mark where the tables begin");
    let (_, tail) = rest.split_once(END).expect("the mark where the tables end");
    let right = format!("{head}{BEGIN}{}{END}{tail}", tables());
    if std::env::var_os("KURIR_WRITE").is_some() {
        fs::write(&path, &right).unwrap();
        return;
    }
    assert!(page == right, "docs/configuration.md is not what --help says: `make settings` writes it");
}

/// Every setting of the services, as a line that does nothing until its mark is taken away.
fn env_example() -> String {
    let mut example = ENV_EXAMPLE_HEAD.to_owned();
    let is_service = |name: &&str| ["api", "webhook-dispatcher", "gateway"].contains(name);
    for (programs, settings) in groups().into_iter().filter(|(programs, _)| programs.iter().any(is_service)) {
        let programs: Vec<_> = programs.into_iter().filter(is_service).collect();
        write!(example, "\n# ---- {}\n", programs.join(", ")).unwrap();
        for Setting { variable, default, help, .. } in settings {
            writeln!(example).unwrap();
            for line in wrapped(&help.replace('`', ""), ENV_EXAMPLE_WIDTH) {
                writeln!(example, "# {line}").unwrap();
            }
            writeln!(example, "#{variable}={default}").unwrap();
        }
    }
    example
}

/// The words in lines of at most this many characters.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().unwrap();
        if !line.is_empty() && line.len() + 1 + word.len() > width {
            lines.push(word.to_owned());
        } else {
            let space = if line.is_empty() { "" } else { " " };
            write!(line, "{space}{word}").unwrap();
        }
    }
    lines
}

#[test]
fn settings_page_has_an_example_of_every_setting() {
    let path = repository().join(".env.example");
    let right = env_example();
    if std::env::var_os("KURIR_WRITE").is_some() {
        fs::write(&path, &right).unwrap();
        return;
    }
    assert!(
        fs::read_to_string(&path).unwrap() == right,
        ".env.example is not what --help says: `make settings` writes it"
    );
}

#[test]
fn a_flag_is_its_variable_in_small_letters() {
    for (program, setting) in PROGRAMS.iter().flat_map(|(_, p)| settings(p).into_iter().map(move |s| (*p, s))) {
        let expected = format!("--{}", setting.variable.to_lowercase().replace('_', "-"));
        let without_prefix = expected.replace("--simulator-", "--").replace("--kurir-", "--");
        assert!(setting.flag == expected || setting.flag == without_prefix, "{program}: {setting:?}");
    }
}

#[test]
fn the_compose_file_hands_every_setting_on() {
    let compose = fs::read_to_string(repository().join("docker-compose.yml")).unwrap();
    let missing: Vec<_> = by_variable()
        .into_iter()
        .filter(|(_, (programs, _))| {
            programs.iter().any(|name| ["api", "webhook-dispatcher", "gateway"].contains(name))
        })
        .map(|(variable, _)| variable)
        .filter(|variable| !DECIDED_BY_COMPOSE.contains(&variable.as_str()))
        .filter(|variable| !compose.lines().any(|line| line.trim().starts_with(&format!("{variable}:"))))
        .collect();
    assert!(missing.is_empty(), "docker-compose.yml does not hand on {missing:?}");
}
