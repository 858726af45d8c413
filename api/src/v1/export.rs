//! The recipients of a queue as CSV, for spreadsheets: RFC 4180, UTF-8, a head line, streamed page by page.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use csv::{Terminator, Writer, WriterBuilder};
use futures_util::stream;
use shared::id::QueueId;
use shared::job::Reference;
use shared::store::recipients::{self, RecipientRecord, RecipientState};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::app::App;
use crate::extract::Query;
use crate::problem::{Problem, ProblemBody};
use crate::v1::queues::{self, RecipientQuery};

/// The columns, in their order. New ones come behind them.
const COLUMNS: [&str; 11] = [
    "seq",
    "number",
    "state",
    "messageId",
    "errorStatus",
    "error",
    "sentAt",
    "deliveredAt",
    "readAt",
    "reference",
    "variables",
];

/// Recipients that are read at a time.
const PIECE: u32 = recipients::PAGE_MAX;

/// Download the recipients of a queue as CSV, in its order: `seq, number, state, messageId, errorStatus, error, sentAt,
/// deliveredAt, readAt, reference, variables`, times in ISO 8601. A text that a spreadsheet would take for a formula begins with `'`. The answer is
/// streamed; one that breaks off is not whole.
#[utoipa::path(get, path = "/v1/sessions/{token}/queues/{queue}/recipients.csv",
    params(("token" = String, Path), ("queue" = String, Path), RecipientQuery), tag = "queues",
    responses((status = 200, body = String, content_type = "text/csv"),
    (status = "default", body = ProblemBody, content_type = "application/problem+json")))]
pub async fn csv(
    State(app): State<Arc<App>>,
    Path((token, queue)): Path<(String, String)>,
    Query(filter): Query<RecipientQuery>,
) -> Result<Response, Problem> {
    let only = filter.state()?;
    let (_, _, record) = queues::find(&app, &token, &queue).await?;
    let export = Export {
        app,
        queue: record.id,
        only,
        next: Next::Head,
    };
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{}.csv\"", record.id),
        ),
    ];
    let pieces = stream::try_unfold(export, Export::piece);
    Ok((headers, Body::from_stream(pieces)).into_response())
}

/// An export under way.
struct Export {
    app: Arc<App>,
    queue: QueueId,
    only: Option<RecipientState>,
    next: Next,
}

/// What is to be written next.
enum Next {
    Head,
    Behind(u32),
    Nothing,
}

impl Export {
    /// Reads and writes the next piece.
    async fn piece(mut self) -> Result<Option<(Bytes, Self)>, std::io::Error> {
        let after = match self.next {
            Next::Head => None,
            Next::Behind(seq) => Some(seq),
            Next::Nothing => return Ok(None),
        };
        let rows = recipients::page(&self.app.store, self.queue, self.only, after, PIECE).await;
        let rows = rows.map_err(|error| {
            tracing::warn!(%error, "an export broke off; its reader got a part of it");
            std::io::Error::other("the database is not available")
        })?;
        let mut writer = writer();
        if after.is_none() {
            writer.write_record(COLUMNS)?;
        }
        for row in &rows {
            write(&mut writer, row)?;
        }
        self.next = match rows.last() {
            Some(last) if rows.len() >= PIECE as usize => Next::Behind(last.seq),
            _ => Next::Nothing,
        };
        let bytes = writer
            .into_inner()
            .map_err(|error| std::io::Error::other(error.to_string()))?;
        Ok(Some((bytes.into(), self)))
    }
}

/// The whole sheet of these recipients.
pub fn sheet(rows: &[RecipientRecord]) -> String {
    let mut writer = writer();
    // Writing to memory does not fail.
    let written = writer.write_record(COLUMNS);
    let written = rows.iter().fold(written, |so_far, row| {
        so_far.and_then(|()| write(&mut writer, row))
    });
    let bytes = written.ok().and_then(|()| writer.into_inner().ok());
    String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default()
}

fn writer() -> Writer<Vec<u8>> {
    WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .from_writer(Vec::new())
}

fn write(writer: &mut Writer<Vec<u8>>, row: &RecipientRecord) -> Result<(), csv::Error> {
    let at = |time: Option<OffsetDateTime>| {
        time.and_then(|time| time.format(&Rfc3339).ok())
            .unwrap_or_default()
    };
    let message = row.stanza.as_ref().map_or("", |stanza| stanza.as_str());
    let status = row
        .error_status
        .map(|status| status.to_string())
        .unwrap_or_default();
    let variables = row.variables.as_ref();
    let variables = variables.and_then(|variables| serde_json::to_string(variables).ok());
    writer.write_record([
        row.seq.to_string().as_str(),
        &harmless(&row.number.as_text()),
        row.state.as_str(),
        &harmless(message),
        &status,
        &harmless(row.error.as_deref().unwrap_or_default()),
        &at(row.sent_at),
        &at(row.delivered_at),
        &at(row.read_at),
        &harmless(row.reference.as_ref().map_or("", Reference::as_str)),
        &variables.unwrap_or_default(),
    ])
}

/// A text that no spreadsheet takes for a formula.
fn harmless(text: &str) -> Cow<'_, str> {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) {
        true => format!("'{text}").into(),
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use shared::id::StanzaId;
    use shared::recipient::Number;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn what_is_no_plain_text_is_quoted_and_formulas_are_harmless() {
        let row = RecipientRecord {
            seq: 7,
            number: Number::new("5531900000001").unwrap(),
            state: RecipientState::Failed,
            stanza: Some(StanzaId::new("=cmd").unwrap()),
            reference: Some(Reference::new("=Ana").unwrap()),
            addressee: None,
            attempts: 1,
            error_status: Some(500),
            error: Some("@no, \"never\"\nagain".into()),
            sent_at: Some(datetime!(2026-11-21 10:00 UTC)),
            delivered_at: None,
            read_at: None,
            variables: serde_json::from_str(r#"{"name":"=Ana"}"#).ok(),
        };
        assert_eq!(
            sheet(&[row]),
            "seq,number,state,messageId,errorStatus,error,sentAt,deliveredAt,readAt,reference,variables\r\n\
             7,5531900000001,failed,'=cmd,500,\"'@no, \"\"never\"\"\nagain\",2026-11-21T10:00:00Z,,,'=Ana,\"{\"\"name\"\":\"\"=Ana\"\"}\"\r\n"
        );
        for harmful in ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1"] {
            assert!(harmless(harmful).starts_with('\''), "{harmful:?}");
        }
        assert_eq!(harmless("a=1"), "a=1");
    }
}
