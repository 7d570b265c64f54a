//! What the README says of the code is what the code says.

use std::process::Command;

const README: &str = include_str!("../../README.md");
const TAG: [(&str, &str); 3] = [
    ("entity/src/tag.rs", include_str!("../../entity/src/tag.rs")),
    ("migration/src/m20261122_000004_tags.rs", include_str!("../../migration/src/m20261122_000004_tags.rs")),
    ("src/graphql/tag.rs", include_str!("../../src/graphql/tag.rs")),
];
const DELETE_COMMENT: &str = include_str!("../../src/domain/post.rs");

/// The lines of a text, whatever they are nested in.
fn unindented(text: &str) -> String {
    text.trim().lines().map(|line| line.trim().to_owned() + "\n").collect()
}

#[test]
fn the_walk_through_quotes_a_resource_that_compiles() {
    let blocks: Vec<_> = README.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 3, "the README walks through a resource");
    for block in blocks {
        let quoted = unindented(block);
        let mut sources = TAG.iter().map(|(_, source)| *source).chain([DELETE_COMMENT]);
        assert!(
            sources.any(|source| unindented(source).contains(&quoted)),
            "quoted, but nowhere in the code:\n{quoted}"
        );
    }
    let counts: Vec<_> = TAG.iter().map(|(_, source)| source.lines().count().to_string()).collect();
    let [entity, migration, graph] = &counts[..] else { unreachable!("three files") };
    let claim = format!("{entity}, {migration} and {graph}");
    assert!(README.replace('\n', " ").contains(&claim), "the README should say that it takes {claim} lines");
    for (path, _) in TAG {
        assert!(README.contains(path), "{path}");
    }
}

#[test]
fn the_lists_have_the_lines_that_the_walk_through_adds() {
    for (list, line) in [
        (include_str!("../../entity/src/lib.rs"), "tag"),
        (include_str!("../../migration/src/lib.rs"), "step!(m20261122_000004_tags)"),
        (include_str!("../../src/graphql/mod.rs"), "tag: Tag, TagRoot;"),
    ] {
        assert!(list.lines().any(|found| found.trim().trim_end_matches(',') == line), "{line}");
        assert!(README.contains(&format!("`{line}`")), "{line}");
    }
}

#[test]
fn the_table_of_settings_is_complete() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shoal"));
    for name in ["DATABASE_URL", "REPLICA_URLS", "REDIS_URL", "SHOAL_DATA_DIR", "SHOAL_LISTEN"] {
        command.env_remove(name);
    }
    let output = command.arg("config").current_dir("/").output().unwrap();
    let settings: toml::Table = String::from_utf8(output.stdout).unwrap().parse().unwrap();
    let mut rows = Vec::new();
    flatten("", &settings, &mut rows);
    // Settings without a value do not show.
    const WITHOUT: [&str; 13] = [
        "http.tls.certificate",
        "http.tls.key",
        "database.url",
        "redis.url",
        "token.key",
        "token.previous_key",
        "graphql.budgets",
        "documents.manifests",
        "mail.smtp_url",
        "mail.ca",
        "mail.domain",
        "jobs.probes",
        "otlp.endpoint",
    ];
    for name in rows.iter().map(|(name, _)| name.as_str()).chain(WITHOUT) {
        assert!(README.contains(&format!("\n| `{name}` | ")), "{name} is not in the table");
    }
    // These follow the machine.
    let of_machine = ["database.pool.size", "database.primary_reads", "cache.near_bytes"];
    for (name, value) in rows.iter().filter(|(name, _)| !of_machine.contains(&name.as_str())) {
        assert!(README.contains(&format!("\n| `{name}` | {value} | ")), "{name} is {value} by default");
    }
    let table = README.lines().filter(|line| line.starts_with("| `") && line.contains("` | "));
    let documented = table.filter(|line| {
        let sections = settings.keys().map(|section| format!("{section}."));
        sections.into_iter().any(|section| line[3..].starts_with(&section))
    });
    assert_eq!(documented.count(), rows.len() + WITHOUT.len(), "a setting in the table that does not exist");
}

/// Each bound that docs/limits.md names: a setting of the table, or a constant of the code.
#[test]
fn the_list_of_bounds_names_what_there_is() {
    let limits = include_str!("../../docs/limits.md");
    let mut source = String::new();
    let mut open = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            source.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
    let (mut settings, mut constants) = (0, 0);
    for name in limits.split('`').skip(1).step_by(2) {
        let is_setting = name.contains('.') && !name.contains(' ') && !["cpu.max", "memory.max"].contains(&name);
        let is_constant = name.len() > 3 && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        let is_code = source.contains(&format!(" = \"{name}\""));
        if is_setting {
            let name = name.trim_end_matches('*');
            assert!(README.contains(&format!("\n| `{name}")), "there is no setting {name}");
            settings += 1;
        } else if is_constant && !is_code && name != "SIGTERM" {
            assert!(source.contains(&format!("const {name}: ")), "there is no {name}");
            constants += 1;
        }
    }
    assert!(settings > 40 && constants > 20, "{settings} settings, {constants} constants");
}

fn flatten(prefix: &str, table: &toml::Table, rows: &mut Vec<(String, String)>) {
    for (name, value) in table {
        match value {
            toml::Value::Table(inner) => flatten(&format!("{prefix}{name}."), inner, rows),
            toml::Value::String(text) => rows.push((format!("{prefix}{name}"), text.clone())),
            other => rows.push((format!("{prefix}{name}"), other.to_string())),
        }
    }
}
