//! What the host lets a server have, and from where it may be reached.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::support::{Backend, Database, TestApp, command};

/// The first line with one of these that a server logs whose shell was told something before.
fn says(database: &Database, shell: &str, either: [&str; 2]) -> String {
    let shoal = command(database);
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("{shell}; exec \"$0\" serve")]).arg(shoal.get_program()).current_dir("/");
    for (name, value) in shoal.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    let mut server = limited.env("SHOAL_LISTEN", "127.0.0.1:0").stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(server.stderr.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|line| either.iter().any(|text| line.contains(text))).unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    line
}

#[tokio::test]
async fn as_many_files_are_opened_as_may_be() {
    const TOO_FEW: &str = "fewer files may be open than there may be connections";
    const SERVES: &str = "serving GraphQL";
    let database = Database::empty(Backend::Sqlite).await;
    // The soft limit is raised.
    assert!(says(&database, "ulimit -S -n 300", [TOO_FEW, SERVES]).contains(SERVES));
    let warned = says(&database, "ulimit -n 300", [TOO_FEW, SERVES]);
    assert!(warned.contains(TOO_FEW) && warned.contains("most=300"), "{warned}");
}

#[tokio::test]
async fn elsewhere_it_is_reached_only_if_that_is_meant() {
    let database = Arc::new(Database::empty(Backend::Sqlite).await);
    let settings = [("SHOAL_LISTEN", "0.0.0.0:0"), ("SHOAL_HTTP__ANYBODY_IS_ADMIN", "true")];
    let app = TestApp::start(database, &settings).await;
    app.query("{ __typename }").await;
    assert!(app.log().contains("every request acts as admin, from wherever it is reached"), "{}", app.log());
}
