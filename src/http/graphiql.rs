//! GraphiQL, from the binary: nothing is loaded from elsewhere. Built from `web/`, which leaves only the brotli form of what
//! that makes smaller.

use std::borrow::Cow;
use std::io::Read;

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "web/dist/"]
struct Bundle;

/// What the page may load: itself. Monaco styles its lines inline and starts its workers from blobs.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; worker-src 'self' blob:; \
                      font-src 'self' data:; img-src 'self' data:; frame-ancestors 'none'";

pub async fn page(headers: HeaderMap) -> Response {
    serve("index.html", &headers)
}

pub async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    serve(&path, &headers)
}

fn serve(path: &str, request: &HeaderMap) -> Response {
    let plain = Bundle::get(path).map(|file| (file, false));
    let Some((file, is_packed)) = plain.or_else(|| Bundle::get(&format!("{path}.br")).map(|file| (file, true))) else {
        return (StatusCode::NOT_FOUND, "not found").into_response();
    };
    let is_brotli = is_packed && takes_brotli(request);
    // Names of assets hold a hash of their content; the page names them anew with each build.
    let cache = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    // Each form has a tag of its own.
    let form = if is_brotli { "-br" } else { "" };
    let tag = format!("\"{}{form}\"", hex(&file.metadata.sha256_hash()[..16]));
    let headers: [(HeaderName, String); 6] = [
        (header::CONTENT_TYPE, mime_guess::from_path(path).first_or_octet_stream().to_string()),
        (header::CACHE_CONTROL, cache.to_owned()),
        (header::ETAG, tag.clone()),
        (header::VARY, "accept-encoding".to_owned()),
        (header::CONTENT_SECURITY_POLICY, POLICY.to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    if request.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    if is_brotli {
        return (headers, [(header::CONTENT_ENCODING, "br")], file.data).into_response();
    }
    let data = if is_packed { unpacked(&file.data) } else { file.data };
    (headers, data).into_response()
}

/// Whether a client takes brotli. RFC 9110, 12.5.3.
fn takes_brotli(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_brotli = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("br"));
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        is_brotli && weight.is_none_or(|weight| weight.parse().is_ok_and(|weight: f32| weight > 0.0))
    })
}

/// For the few clients that take no brotli.
fn unpacked(packed: &[u8]) -> Cow<'static, [u8]> {
    let mut data = Vec::new();
    brotli::Decompressor::new(packed, 4096)
        .read_to_end(&mut data)
        .expect("the bundle is ours, and tests read all of it");
    data.into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_packed_file_is_what_it_was() {
        let packed: Vec<_> = Bundle::iter().filter(|path| path.ends_with(".br")).collect();
        assert!(!packed.is_empty());
        for path in packed {
            let data = unpacked(&Bundle::get(&path).unwrap().data);
            assert!(data.len() > 1024, "{path}");
        }
    }

    #[test]
    fn brotli_is_for_who_takes_it() {
        for (accept, takes) in [
            ("gzip, deflate, br, zstd", true),
            ("BR;q=0.5", true),
            ("br;q=0", false),
            ("br; q=0.0, gzip", false),
            ("gzip", false),
            ("brx", false),
            ("*", false),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, accept.parse().unwrap())]);
            assert_eq!(takes_brotli(&headers), takes, "{accept}");
        }
        assert!(!takes_brotli(&HeaderMap::new()));
    }
}
