//! The page at `/` and the documents' pages at `/docs` and `/docs/events`: files that are part of the program, and the headers that go with
//! them.
//!
//! Knows nothing of the API: the page asks it as any client does, with the key that its user types. The key is kept in the
//! page's memory alone, so there is no cookie, nothing that another site could make a browser send, and the door of the
//! API is the same for everybody.
//!
//! The files stand under a folder named by what is in all of them, so they may be kept for ever; the pages that name
//! the folder are asked for again each time.

mod files;

use std::io::Write as _;
use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use self::files::{FILES, PAGES};
use crate::problem::{Code, Problem};

/// What the page may do: scripts, styles and requests of its own origin, none of them inline; pictures also from memory,
/// as QR codes come.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'";

/// Stands in the pages for the folder of the files.
const FOLDER_MARK: &str = "{folder}";

/// Hexadecimal digits of the digest that the folder is named by.
const FOLDER_DIGITS: usize = 16;

/// The routes of the page, its files, and the documents' pages. None of them needs the key.
pub fn routes() -> Router {
    Router::new()
        .route("/", get(async |headers: HeaderMap| page("index.html", &headers)))
        .route(
            "/docs",
            get(async |headers: HeaderMap| page("docs.html", &headers)),
        )
        .route(
            "/docs/events",
            get(async |headers: HeaderMap| page("events.html", &headers)),
        )
        .route("/page/{folder}/{*file}", get(file))
}

/// A file, ready to be sent.
struct Served {
    name: &'static str,
    kind: &'static str,
    plain: Vec<u8>,
    packed: Vec<u8>,
    tag: HeaderValue,
}

/// All that is served, and the folder of the files.
struct Site {
    folder: String,
    files: Vec<Served>,
    pages: Vec<Served>,
}

static SITE: LazyLock<Site> = LazyLock::new(Site::new);

impl Site {
    fn new() -> Self {
        let mut all = Sha256::new();
        for (name, text) in FILES {
            all.update(name);
            all.update([0]);
            all.update(text);
        }
        let mut folder = hex::encode(all.finalize());
        folder.truncate(FOLDER_DIGITS);
        let files = FILES.iter().map(|(name, text)| Served::new(name, text));
        let pages = PAGES
            .iter()
            .map(|(name, text)| Served::new(name, &text.replace(FOLDER_MARK, &folder)));
        Self {
            files: files.collect(),
            pages: pages.collect(),
            folder,
        }
    }
}

impl Served {
    fn new(name: &'static str, text: &str) -> Self {
        let plain = text.as_bytes().to_vec();
        let digest = hex::encode(&Sha256::digest(&plain)[..16]);
        // Digits in quotes are always a header's value.
        let tag = HeaderValue::try_from(format!("\"{digest}\"")).unwrap_or(HeaderValue::from_static("\"\""));
        Self {
            packed: packed(&plain),
            kind: kind(name),
            name,
            plain,
            tag,
        }
    }

    fn answer(&'static self, cached: &'static str, asked: &HeaderMap) -> Response {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            (header::CONTENT_TYPE, self.kind),
            (header::CACHE_CONTROL, cached),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::VARY, "accept-encoding"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert(header::ETAG, self.tag.clone());
        if names(
            asked,
            &header::IF_NONE_MATCH,
            self.tag.to_str().unwrap_or_default(),
        ) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        if !names(asked, &header::ACCEPT_ENCODING, "gzip") {
            return (headers, Body::from(self.plain.as_slice())).into_response();
        }
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        (headers, Body::from(self.packed.as_slice())).into_response()
    }
}

fn page(name: &str, asked: &HeaderMap) -> Response {
    match SITE.pages.iter().find(|page| page.name == name) {
        Some(page) => page.answer(ASK_AGAIN, asked),
        None => missing(),
    }
}

/// A file by its name. Under another folder it is one that another release names: its reader gets what is here, and keeps
/// it not.
async fn file(Path((folder, name)): Path<(String, String)>, asked: HeaderMap) -> Response {
    let cached = match folder == SITE.folder {
        true => FOR_EVER,
        false => ASK_AGAIN,
    };
    match SITE.files.iter().find(|file| file.name == name) {
        Some(file) => file.answer(cached, &asked),
        None => missing(),
    }
}

const FOR_EVER: &str = "public, max-age=31536000, immutable";
const ASK_AGAIN: &str = "no-cache";

fn missing() -> Response {
    Problem::new(Code::NotFound, "the page has no such file").into_response()
}

fn kind(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

/// Whether one of the listed values of a header is this one, whatever is said behind it.
fn names(headers: &HeaderMap, name: &header::HeaderName, wanted: &str) -> bool {
    let lists = headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    let mut values = lists.flat_map(|list| list.split(','));
    values.any(|value| {
        value
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .trim_start_matches("W/")
            == wanted
    })
}

fn packed(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writing to memory does not fail.
    let written = encoder.write_all(plain);
    written.and_then(|()| encoder.finish()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
