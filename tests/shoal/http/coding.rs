//! Content codings, both ways.

use std::io::{Read, Write};

use serde_json::Value;

use super::{Answer, NAME};
use crate::support::{Backend, TestApp};

/// Long enough to be worth it.
const LONG: &str = "{\"query\":\"{ posts(first: 20) { nodes { id title body } } }\"}";

async fn asked(app: &TestApp, body: &'static str, accept: &str) -> Answer {
    let request = reqwest::Client::new().post(app.at("/graphql")).header("content-type", "application/json");
    Answer::of(request.header("accept-encoding", accept).body(body)).await
}

pub fn decoded(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match coding {
        "gzip" => flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).map(drop),
        "br" => brotli::BrotliDecompress(&mut &*bytes, &mut plain),
        "zstd" => zstd::stream::copy_decode(bytes, &mut plain),
        _ => plain.write_all(bytes),
    }
    .unwrap();
    plain
}

#[tokio::test]
async fn long_answers_are_compressed_as_the_client_takes_it() {
    let app = TestApp::demo(Backend::Sqlite).await;
    let plain = asked(&app, LONG, "identity").await;
    assert!(plain.headers.get("content-encoding").is_none() && plain.body.len() > 1024);
    for (accept, coding) in [
        ("gzip", "gzip"),
        ("br", "br"),
        ("zstd", "zstd"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1, br;q=0.5", "gzip"),
        ("zstd;q=0, gzip", "gzip"),
        ("deflate", ""),
        ("", ""),
    ] {
        let answer = asked(&app, LONG, accept).await;
        assert_eq!(answer.header("content-encoding"), coding, "{accept}");
        assert!(answer.header("vary").contains("accept-encoding"));
        assert!(coding.is_empty() || answer.body.len() < plain.body.len() / 2, "{accept}");
        assert_eq!(decoded(coding, &answer.body), plain.body, "{accept}");
        assert!(asked(&app, NAME, accept).await.headers.get("content-encoding").is_none(), "{accept}");
    }
}

#[tokio::test]
async fn bodies_may_be_compressed_and_bombs_are_not_unpacked() {
    let app = TestApp::empty(Backend::Sqlite).await;
    let packed = |coding: &str, bytes: &[u8]| {
        let mut packed = Vec::new();
        match coding {
            "gzip" => flate2::write::GzEncoder::new(&mut packed, flate2::Compression::best()).write_all(bytes).unwrap(),
            "br" => drop(brotli::BrotliCompress(&mut &*bytes, &mut packed, &Default::default()).unwrap()),
            _ => zstd::stream::copy_encode(bytes, &mut packed, 3).unwrap(),
        }
        packed
    };
    let send = async |coding: &str, body: Vec<u8>| {
        let request = reqwest::Client::new().post(app.at("/graphql")).header("content-type", "application/json");
        Answer::of(request.header("content-encoding", coding).body(body)).await
    };
    let bomb = [NAME.as_bytes(), &vec![b' '; 64 << 20]].concat();
    for coding in ["gzip", "br", "zstd"] {
        let answer = send(coding, packed(coding, NAME.as_bytes())).await;
        assert_eq!(answer.json()["data"]["__typename"], "Query", "{coding}");
        let bomb = packed(coding, &bomb);
        assert!(bomb.len() < 1 << 18, "{coding}: {}", bomb.len());
        let refused = send(coding, bomb).await;
        assert_eq!((refused.status, refused.code().as_str()), (413, "PAYLOAD_TOO_LARGE"), "{coding}");
        let broken = send(coding, NAME.into()).await;
        assert_eq!((broken.status, broken.code().as_str()), (400, "BAD_REQUEST"), "{coding}");
    }
    for coding in ["deflate", "compress", "nonsense", "gzip, gzip"] {
        let refused = send(coding, NAME.into()).await;
        assert_eq!((refused.status, refused.code().as_str()), (415, "UNSUPPORTED_MEDIA_TYPE"), "{coding}");
    }
    assert_eq!(send("identity", NAME.into()).await.json()["data"], serde_json::json!({ "__typename": "Query" }));
    assert_eq!(app.query("{ users { totalCount } }").await["users"]["totalCount"], Value::from(0));
}
