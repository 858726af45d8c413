//! The files of messages that came in.

use std::ops::Range;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use media::{BlobRef, MediaKey, MediaKind};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use shared::id::{SessionId, StanzaId, Token};
use shared::job::{Answer, Job, MediaRefreshJob};
use shared::proxy::ProxyUrl;
use shared::store::received::{self, FileKind, ReceivedMedia};
use shared::store::{proxies, sessions::SessionRecord};

use super::control;
use crate::app::App;
use crate::downloads::range::{self, Asked};
use crate::downloads::{Download, DownloadError};
use crate::extract;
use crate::jobs;
use crate::problem::{Code, Problem, ProblemBody};

/// Download the file of a message that came in, or that another device of the account sent. It is fetched from WhatsApp's
/// media host, decrypted and handed on as it comes, also when the session is not connected; where the host has it no more,
/// the phone is asked to upload it again, for which both must be online. One `Range` is served, and `If-None-Match` and
/// `If-Range` by its `ETag`. An answer that breaks off is not whole, or the file is not what the message named.
#[utoipa::path(get, path = "/v1/sessions/{token}/messages/{message}/media",
    params(("token" = String, Path), ("message" = String, Path, description = "A messageId."),
    ("Range" = Option<String>, Header, description = "`bytes=0-99`, `bytes=100-` or `bytes=-100`")), tag = "messages",
    responses((status = 200, body = String, content_type = "application/octet-stream"),
    (status = 206, body = String, content_type = "application/octet-stream"), (status = 304),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn download(
    State(app): State<Arc<App>>,
    Path((token, message)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let token: Token = extract::text("token", &token)?;
    let message: StanzaId = extract::text("messageId", &message)?;
    let session = app.tokens.look_up(&app.store, &token).await?;
    let file = find(&app, session.id, &message).await?;
    let tag = format!("\"{}\"", hex::encode(file.sha256));
    if is_named(&headers, &header::IF_NONE_MATCH, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let proxy = own_proxy(&app, &session)?;
    let begun = match app.downloads.begin(blob(&file), proxy.as_ref()).await {
        Err(DownloadError::Expired) => {
            let file = refreshed(&app, &token, session.id, &message).await?;
            app.downloads.begin(blob(&file), proxy.as_ref()).await
        }
        begun => begun,
    };
    let begun = begun.map_err(not_given)?;
    let asked = asked(&headers, &tag, &begun);
    Ok(answer(&file, tag, begun, asked))
}

async fn find(app: &App, session: SessionId, message: &StanzaId) -> Result<ReceivedMedia, Problem> {
    let found = received::find(&app.store, session, message).await?;
    found.ok_or_else(no_file)
}

/// The problem of a message without a file.
pub fn no_file() -> Problem {
    let words = "no message with a file that came in has this id, or not any more (KEEP_MEDIA_DAYS)";
    Problem::new(Code::MessageNotFound, words)
}

/// The file when the phone has uploaded it again.
async fn refreshed(
    app: &App,
    token: &Token,
    session: SessionId,
    message: &StanzaId,
) -> Result<ReceivedMedia, Problem> {
    let message_id = message.clone();
    let job = Job::MediaRefresh(MediaRefreshJob { message_id });
    match control::ask(app, token, &job).await? {
        Answer::Done { .. } => find(app, session, message).await,
        other => Err(jobs::unexpected(&other)),
    }
}

fn own_proxy(app: &App, session: &SessionRecord) -> Result<Option<ProxyUrl>, Problem> {
    let sealed = session.proxy.as_deref();
    let opened = sealed.map(|sealed| proxies::open(&app.store, session.id, sealed));
    Ok(opened.transpose()?)
}

fn blob(file: &ReceivedMedia) -> BlobRef {
    BlobRef {
        kind: match file.kind {
            FileKind::Image => MediaKind::Image,
            FileKind::Video => MediaKind::Video,
            FileKind::Audio => MediaKind::Audio,
            FileKind::Document => MediaKind::Document,
        },
        path: file.direct_path.clone(),
        key: MediaKey::new(file.key),
        sha256: file.sha256,
        enc_sha256: file.enc_sha256,
        length: file.length,
    }
}

fn not_given(error: DownloadError) -> Problem {
    let words = error.to_string();
    match error {
        DownloadError::Busy => Problem::new(Code::DownloadsBusy, words).retry_after(jobs::RETRY_AFTER),
        DownloadError::Expired => Problem::new(Code::MediaGone, words),
        DownloadError::Unavailable(_) => {
            Problem::new(Code::MediaUnavailable, words).retry_after(jobs::RETRY_AFTER)
        }
    }
}

/// What of the file is wanted: a range counts where its length is known, and it is the one that the client means.
fn asked(headers: &HeaderMap, tag: &str, begun: &Download) -> Asked {
    let is_meant = !headers.contains_key(header::IF_RANGE) || is_named(headers, &header::IF_RANGE, tag);
    let header = headers.get(header::RANGE).filter(|_| is_meant);
    let header = header.and_then(|value| value.to_str().ok());
    match begun.length {
        Some(length) => range::read(header, length),
        None => Asked::Whole,
    }
}

fn is_named(headers: &HeaderMap, name: &HeaderName, tag: &str) -> bool {
    let named = headers.get(name).and_then(|value| value.to_str().ok());
    named.is_some_and(|named| named == "*" || named.split(',').any(|named| named.trim() == tag))
}

fn answer(file: &ReceivedMedia, tag: String, begun: Download, asked: Asked) -> Response {
    let length = begun.length;
    let total = length.map_or_else(|| "*".to_owned(), |length| length.to_string());
    let (status, part, range) = match asked {
        Asked::Whole => (StatusCode::OK, None, None),
        Asked::Part(part) => {
            let range = format!("bytes {}-{}/{total}", part.start, part.end - 1);
            (StatusCode::PARTIAL_CONTENT, Some(part), Some(range))
        }
        Asked::Nothing => return no_such_part(&total),
    };
    let size = part
        .as_ref()
        .map(|part: &Range<u64>| part.end - part.start)
        .or(length);
    let mut response = (status, begun.into_body(part)).into_response();
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, "application/octet-stream".to_owned());
    set(header::CONTENT_TYPE, file.mimetype.clone());
    set(header::CONTENT_DISPOSITION, disposition(file));
    set(header::ETAG, tag);
    // Whatever its sender says that it is: it is data, and no page of ours.
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned());
    set(
        header::CONTENT_SECURITY_POLICY,
        "sandbox; default-src 'none'".to_owned(),
    );
    if let Some(size) = size {
        set(header::ACCEPT_RANGES, "bytes".to_owned());
        set(header::CONTENT_LENGTH, size.to_string());
    }
    if let Some(range) = range {
        set(header::CONTENT_RANGE, range);
    }
    response
}

fn no_such_part(total: &str) -> Response {
    let words = format!("the file has {total} bytes");
    let mut response = Problem::new(Code::RangeNotSatisfiable, words).into_response();
    if let Ok(range) = HeaderValue::from_str(&format!("bytes */{total}")) {
        response.headers_mut().insert(header::CONTENT_RANGE, range);
    }
    response
}

/// To be stored, never shown: under its name, or that of its message.
fn disposition(file: &ReceivedMedia) -> String {
    let name = file.file_name.as_deref().unwrap_or(file.message.as_str());
    format!(
        "attachment; filename*=UTF-8''{}",
        utf8_percent_encode(name, PLAIN)
    )
}

/// What a name may hold as it is (RFC 8187, 3.2.1), as far as all take it so.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
