//! The floors: what is left to pay when nothing is there but a web server, and a database.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::classes::OPERATIONS;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Clone)]
struct Floors {
    pool: PgPool,
    statements: Arc<HashMap<&'static str, SqlStr>>,
    answers: Arc<HashMap<String, Bytes>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    operation_name: String,
    #[serde(default)]
    variables: Variables,
}

#[derive(Default, Deserialize)]
struct Variables {
    id: Option<String>,
}

/// Serves both. The database is in `DATABASE_URL`; files with the answers are in `SHOAL_BENCH_ANSWERS`, each named after
/// its operation.
pub async fn serve(address: SocketAddr) {
    let read = |name: &str| std::env::var(name).unwrap();
    let answers = std::fs::read_dir(read("SHOAL_BENCH_ANSWERS")).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap().into())
    });
    let cores = std::thread::available_parallelism().unwrap().get() as u32;
    let pool = PgPoolOptions::new()
        .max_connections(2 * cores + 1)
        .test_before_acquire(false)
        .connect(&read("DATABASE_URL"))
        .await
        .unwrap();
    let floors = Floors {
        pool,
        statements: Arc::new(
            OPERATIONS
                .iter()
                .map(|operation| (operation.name, AssertSqlSafe(operation.statement()).into_sql_str()))
                .collect(),
        ),
        answers: Arc::new(answers.collect()),
    };
    let router = Router::new().route("/bytes", post(bytes)).route("/sql", post(sql)).with_state(floors);
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    eprintln!("floors at {}", listener.local_addr().unwrap());
    axum::serve(listener, router).await.unwrap();
}

async fn bytes(State(floors): State<Floors>, body: Bytes) -> impl IntoResponse {
    let body: Body = serde_json::from_slice(&body).unwrap();
    ([(header::CONTENT_TYPE, "application/json")], floors.answers[&body.operation_name].clone())
}

async fn sql(State(floors): State<Floors>, body: Bytes) -> impl IntoResponse {
    let body: Body = serde_json::from_slice(&body).unwrap();
    let user: i64 = body.variables.id.map_or(0, |id| {
        let id = URL_SAFE_NO_PAD.decode(id).unwrap();
        std::str::from_utf8(&id).unwrap().strip_prefix("User:").unwrap().parse().unwrap()
    });
    let statement = floors.statements[body.operation_name.as_str()].clone();
    let answer: String = sqlx::query_scalar(statement).bind(user).fetch_one(&floors.pool).await.unwrap();
    ([(header::CONTENT_TYPE, "application/json")], answer)
}
