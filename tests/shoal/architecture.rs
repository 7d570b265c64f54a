//! The arrows of the design, held against the sources: which part may name which part, which part knows which crate.
//!
//! A part is named in one way only, by a path from the root of the crate: child modules cannot hide one, and a glob of
//! the root is forbidden. So it is enough to read the paths.

mod paths;

use std::path::{Path, PathBuf};

use paths::{attributes, named};

/// `main → app → http → graphql → domain → data`, `http → jobs → domain, mail, data`: each part and the parts it may name.
///
/// `config` knows the settings of the parts, `telemetry` its own, and `progress` shows what `data` tells of an import.
const ARROWS: [(&str, &[&str]); 11] = [
    ("main", &["app", "config", "domain", "graphql", "jobs", "mail"]),
    ("app", &["config", "data", "domain", "graphql", "http", "jobs", "mail", "progress", "telemetry"]),
    ("config", &["data", "graphql", "http", "jobs", "mail"]),
    ("telemetry", &["config"]),
    ("progress", &["data"]),
    ("http", &["data", "domain", "graphql", "jobs"]),
    ("graphql", &["data", "domain"]),
    ("jobs", &["data", "domain", "mail"]),
    ("domain", &["data"]),
    ("mail", &["data"]),
    ("data", &[]),
];

/// What only some parts may name. `app` takes a lock of the database, which is all it knows of SQL, to migrate.
const ONLY: [(&str, &[&str]); 15] = [
    ("axum", &["http"]),
    ("async_graphql", &["graphql", "http", "data"]),
    ("async_graphql_axum", &["http"]),
    ("sea_orm", &["graphql", "data"]),
    ("sqlx", &["data", "app::migrate"]),
    ("redis", &["data"]),
    ("entity", &["graphql", "domain", "jobs"]),
    ("migration", &["app"]),
    ("figment", &["config"]),
    ("std::env", &["config"]),
    ("clap", &["main"]),
    ("lettre", &["mail"]),
    ("minijinja", &["mail"]),
    ("std::thread::sleep", &[]),
    ("tokio::time::sleep", &["data::pause"]),
];

/// Where a part may name only this much of what it knows.
const NO_MORE: [(&str, &str, &[&str]); 4] = [
    // The ecosystem's contract for loaders.
    ("data", "async_graphql", &["dataloader"]),
    // To name columns and to read results, never to ask: no connection, no statement, no entity's query.
    ("graphql", "sea_orm", &["ColumnTrait", "FromQueryResult", "prelude::DateTimeUtc"]),
    // URLs that never show a password.
    ("mail", "crate::data", &["secret"]),
    // The request and the answer.
    ("http", "async_graphql", &["Data", "Executor", "Request", "Response", "ServerError", "Variables", "Value"]),
];

/// What resolvers and rules never name: they say what they need, and what asks for it chooses a database.
const NOT_FOR_RESOLVERS: [&str; 6] = ["bulk", "databases", "Databases", "Needs", "fetch", "sql"];
/// The files that join a request, or a whole load of files, with the data layer, and so are neither.
const JOINTS: [(&str, &str); 3] = [("graphql", "context"), ("graphql", "execute"), ("domain", "import")];

/// Names that say nothing of what a module is for.
const EMPTY_NAMES: [&str; 7] = ["utils", "util", "helpers", "common", "manager", "service", "misc"];
const MOST_LINES: usize = 400;

/// How a source of the crate breaks the rules; nothing if it does not.
fn broken(module: &str, source: &str) -> Vec<String> {
    let module: Vec<String> = module.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let is_root = module.is_empty();
    let part = module.first().map_or("", String::as_str);
    let here = module.join("::");
    let mut found = Vec::new();
    for path in named(&module, source) {
        let written = path.join("::");
        if path[0] == "crate" {
            match path.get(1).map(String::as_str) {
                _ if is_root => {}
                None | Some("*") => found.push(format!("{here} names the root of the crate as a whole")),
                Some(other) if other == part => {}
                Some(other) if !ARROWS.iter().any(|(from, to)| *from == part && to.contains(&other)) => {
                    found.push(format!("{here} names {written}: no arrow leads from {part} to {other}"));
                }
                Some(_) => {}
            }
            let in_data = path.get(1).is_some_and(|other| other == "data").then(|| path.get(2)).flatten();
            let is_joint = module.get(1).is_some_and(|file| JOINTS.contains(&(part, file.as_str())));
            let only_says = ["graphql", "domain"].contains(&part) && !is_joint;
            if only_says && in_data.is_some_and(|name| name == "*" || NOT_FOR_RESOLVERS.contains(&name.as_str())) {
                found.push(format!("{here} names {written}: resolvers and rules do not choose a database"));
            }
        }
        for (what, parts) in ONLY {
            if starts_with(&written, what) && !parts.iter().any(|part| starts_with(&here, part)) {
                found.push(format!("{here} names {written}: only {parts:?} may name {what}"));
            }
        }
        for (from, what, few) in NO_MORE {
            if part == from
                && let Some(rest) = written.strip_prefix(what).and_then(|rest| rest.strip_prefix("::"))
                && !few.iter().any(|few| starts_with(rest, few))
            {
                found.push(format!("{here} names {written}: {from} knows only {few:?} of {what}"));
            }
            if part == from && written == what {
                found.push(format!("{here} names {what} as a whole, but knows only {few:?} of it"));
            }
        }
    }
    found
}

fn starts_with(path: &str, with: &str) -> bool {
    path.strip_prefix(with).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Each source below a directory of the project: its path and its text.
fn sources(directory: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(directory)];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_owned(), text));
            }
        }
    }
    assert!(!found.is_empty(), "no sources in {directory}");
    found
}

/// Whether a source is of unit tests, which may take what they need.
fn is_of_tests(path: &Path) -> bool {
    path.iter().any(|name| name == "tests" || name == "tests.rs")
}

/// `src/graphql/post.rs` is `graphql::post`, `src/data/mod.rs` is `data`, `src/lib.rs` the root.
fn module(path: &Path) -> String {
    let path = path.strip_prefix("src").unwrap().with_extension("");
    let names: Vec<_> = path.iter().map(|name| name.to_str().unwrap()).collect();
    match &names[..] {
        [directory @ .., "mod" | "lib"] => directory.join("::"),
        names => names.join("::"),
    }
}

#[test]
fn arrows_run_one_way() {
    let broken: Vec<_> = sources("src")
        .iter()
        .filter(|(path, _)| !is_of_tests(path))
        .flat_map(|(path, text)| broken(&module(path), text))
        .collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_part_has_its_arrows() {
    for (path, _) in sources("src") {
        let module = module(&path);
        let part = module.split("::").next().unwrap();
        assert!(part.is_empty() || ARROWS.iter().any(|(from, _)| *from == part), "name the arrows of {part}");
    }
}

/// Each rule sees what breaks it, in whatever way it is written.
#[test]
fn planted_violations_are_found() {
    for (module, source, about) in [
        ("data::page", "use crate::graphql::id;", "from data to graphql"),
        ("data::find::rows", "use super::super::super::domain::import;", "from data to domain"),
        ("data::page", "fn f() -> crate::http::Server { todo!() }", "from data to http"),
        ("data::page", "use crate as c;", "root of the crate"),
        ("data", "use super::*;", "root of the crate"),
        ("data::page", "mod tests { use super::super::super::graphql; }", "from data to graphql"),
        ("data::page", "fn f() { println!(\"{}\", crate::graphql::sdl()) }", "from data to graphql"),
        ("data::page", "macro_rules! m { () => { $crate::graphql::sdl() } }", "from data to graphql"),
        ("domain::order", "use crate::{data::Error, graphql};", "from domain to graphql"),
        ("domain::order", "impl crate::jobs::Job for Order {}", "from domain to jobs"),
        ("graphql::post", "use crate::http::Server;", "from graphql to http"),
        ("http::probes", "use crate::app::serve;", "from http to app"),
        ("jobs::mail", "use crate::graphql::sdl;", "from jobs to graphql"),
        ("mail::letter", "use crate::domain::order;", "from mail to domain"),
        ("mail", "use crate::data::Databases;", "of crate::data"),
        ("domain::user", "use crate::mail::Mailer;", "from domain to mail"),
        ("app", "use lettre::Message;", "may name lettre"),
        ("main", "use shoal::data::Databases;", "from main to data"),
        ("graphql::execute", "use axum::http::HeaderMap;", "may name axum"),
        ("app", "use axum::Router;", "may name axum"),
        ("data::fetch", "use entity::post;", "may name entity"),
        ("data::fetch", "fn f() { let _ = <entity::post::Entity as Default>::default(); }", "may name entity"),
        ("graphql::post", "use migration::Migrator;", "may name migration"),
        ("domain::order", "use migration::Migrator as M;", "may name migration"),
        ("graphql::post", "extern crate redis;", "may name redis"),
        ("http", "async fn f(far: ::redis::Client) {}", "may name redis"),
        ("graphql::post", "use sqlx::query;", "may name sqlx"),
        ("app", "fn f() { sqlx::query!(\"select 1\"); }", "may name sqlx"),
        ("graphql::post", "use sea_orm::Statement;", "of sea_orm"),
        ("graphql::post", "use sea_orm::{ColumnTrait, DatabaseConnection};", "of sea_orm"),
        ("graphql::post", "use sea_orm as s;", "of it"),
        ("graphql::post", "use crate::data::Databases;", "do not choose a database"),
        ("graphql::post", "use crate::data::{Error, databases::Needs};", "do not choose a database"),
        ("graphql::post", "use crate::data::*;", "do not choose a database"),
        ("domain::order", "use crate::data::databases::Databases;", "do not choose a database"),
        ("domain::order::place", "fn f() { crate::data::sql::Sql::new(d); }", "do not choose a database"),
        ("data::loader", "use async_graphql::Context;", "of async_graphql"),
        ("data::loader", "use async_graphql::{dataloader::Loader, Value};", "of async_graphql"),
        ("data::loader", "#[derive(async_graphql::SimpleObject)] struct S { a: i32 }", "of async_graphql"),
        ("app", "fn f() { std::env::var(\"HOME\"); }", "may name std::env"),
        ("data", "use std::{env, fmt};", "may name std::env"),
        ("app", "use figment::providers::Env;", "may name figment"),
        ("app", "use clap::Parser;", "may name clap"),
        ("data::loader", "async fn f() { tokio::time::sleep(D).await }", "may name tokio::time::sleep"),
        ("http", "use std::thread::sleep as nap;", "may name std::thread::sleep"),
    ] {
        let found = broken(module, source);
        assert!(found.iter().any(|violation| violation.contains(about)), "{source} in {module}: {found:?}");
    }
    for (module, source) in [
        ("graphql::execute", "use crate::data::databases::{Databases, Needs};"),
        ("domain::import", "use crate::data::{Databases, bulk};"),
        ("graphql::post", "pub(crate) use super::id; use sea_orm::{ColumnTrait, prelude::DateTimeUtc};"),
        ("data::loader", "use async_graphql::dataloader::Loader; mod tests { use super::*; }"),
        ("app::migrate", "use super::Failure; fn f() { config.redis.url; sqlx::query(\"\"); }"),
        ("http", "use super::graphql::execute::Executor; use axum::Router;"),
        ("config", "fn f() { std::env::var(\"HOME\"); }"),
        ("", "pub mod app;"),
    ] {
        assert_eq!(broken(module, source), [""; 0], "{source} in {module}");
    }
}

#[test]
fn files_stay_short_and_have_names_that_say_something() {
    for (path, text) in ["src", "entity", "migration", "tests"].into_iter().flat_map(sources) {
        let lines = text.lines().count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines: it is two ideas", path.display());
        for name in path.with_extension("").iter() {
            assert!(!EMPTY_NAMES.iter().any(|empty| name == *empty), "{}: name what it is for", path.display());
        }
    }
}

#[test]
fn no_test_is_left_out() {
    let ignored = |text: &str| attributes(text).iter().any(|name| name == "ignore");
    assert!(ignored("mod tests { #[test] #[ignore = \"slow\"] fn f() {} }"));
    for (path, text) in ["src", "entity", "migration", "tests"].into_iter().flat_map(sources) {
        assert!(!ignored(&text), "{} ignores a test", path.display());
    }
}
