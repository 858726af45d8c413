use std::collections::BTreeSet;
use std::path::Path as Folder;

use axum::body::to_bytes;
use axum::http::Request;
use tower::ServiceExt;

use super::*;

/// Most bytes of the first view, compressed.
const FIRST_VIEW_MAX: usize = 100 * 1024;

async fn asked(path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, Vec<u8>) {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = routes()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    let (parts, body) = answer.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
    (parts.status, parts.headers, body)
}

fn folder_of(page: &str) -> String {
    let (_, rest) = page.split_once("/page/").unwrap();
    rest.split_once('/').unwrap().0.to_owned()
}

#[tokio::test]
async fn the_page_is_asked_for_again_and_its_files_are_kept() {
    let (status, headers, body) = asked("/", &[]).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(headers["cache-control"], "no-cache");
    let tag = headers["etag"].to_str().unwrap().to_owned();
    let (status, headers, rest) = asked("/", &[("if-none-match", &tag)]).await;
    assert_eq!((status, rest.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(headers["etag"], tag.as_str());

    let folder = folder_of(&String::from_utf8(body).unwrap());
    let (status, headers, _) = asked(&format!("/page/{folder}/app.js"), &[]).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["content-type"], "text/javascript; charset=utf-8");
    assert_eq!(headers["cache-control"], "public, max-age=31536000, immutable");
    // What another release names is not kept under its name.
    let (status, headers, _) = asked("/page/0123456789abcdef/app.js", &[]).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["cache-control"], "no-cache");
    for path in ["/page/x/nothing.js", "/page/x/../app.js", "/page/x/vendor"] {
        assert_eq!(asked(path, &[]).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn nothing_inline_and_nothing_of_another_host_may_run() {
    for path in ["/", "/docs", "/docs/events", "/page/x/app.js"] {
        let (_, headers, _) = asked(path, &[]).await;
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; "),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert!(!headers.contains_key("set-cookie"));
    }
    for (name, text) in PAGES {
        for inline in ["<script>", "<style", " style=", "onclick", "javascript:"] {
            assert!(!text.contains(inline), "{name}: {inline}");
        }
    }
}

#[tokio::test]
async fn what_is_packed_is_what_is_there() {
    use std::io::Read as _;

    let (_, headers, packed) = asked("/page/x/base.css", &[("accept-encoding", "br, gzip;q=0.8")]).await;
    assert_eq!(headers["content-encoding"], "gzip");
    let (_, headers, plain) = asked("/page/x/base.css", &[]).await;
    assert!(!headers.contains_key("content-encoding"));
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice())
        .read_to_end(&mut unpacked)
        .unwrap();
    assert!(packed.len() < plain.len());
    assert_eq!(unpacked, plain);
}

#[test]
fn the_first_view_is_small() {
    let all = SITE.files.iter().filter(|file| !file.name.starts_with("docs/"));
    let bytes: usize = all.map(|file| file.packed.len()).sum();
    assert!(bytes < FIRST_VIEW_MAX, "{bytes} bytes compressed");
}

#[test]
fn every_file_of_the_folder_is_served() {
    let root = Folder::new(env!("CARGO_MANIFEST_DIR")).join("page");
    let mut there = BTreeSet::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                there.insert(path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let served: BTreeSet<String> = FILES
        .iter()
        .chain(PAGES)
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(served, there);
}
