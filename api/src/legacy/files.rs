//! The files of messages of the older API: its clients are shown the message as it goes to WhatsApp, with the place and the
//! key of its file. So the answer waits a while for the upload.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use shared::store::recipients::{self, RecipientState};
use shared::store::uploads::{self, Upload};

use crate::app::{App, Sent};
use crate::problem::{Code, Problem};
use crate::tokens::Addressee;

/// How long an answer waits for the file to be uploaded. Later it is told without what is not known by then.
const UPLOAD_PATIENCE: Duration = Duration::from_secs(15);

/// A message whose file is on its way.
pub(super) struct Sending<'a> {
    /// Its session.
    pub(super) to: &'a Addressee,
    /// Its ids.
    pub(super) sent: &'a Sent,
    /// What this API calls the field that its file is given in.
    pub(super) field: &'static str,
}

/// Waits for the upload and shows it; without it if that takes longer than an answer may.
///
/// # Errors
/// 400 that names the field, where the file can't be had or sent.
pub(super) async fn tell(app: &App, sending: Sending<'_>, shown: &mut Value) -> Result<(), Problem> {
    let mut looks = app.looks(UPLOAD_PATIENCE);
    // It is published: what the database can't say now is no reason to call it refused.
    while looks.again().await {
        match uploads::find(&app.store, sending.sent.queue).await {
            Ok(Some(upload)) => {
                show(shown, &upload);
                break;
            }
            Ok(None) => refuse_failed(app, &sending).await?,
            Err(_) => {}
        }
    }
    Ok(())
}

/// What failed before it was sent is not answered as if it were on its way.
async fn refuse_failed(app: &App, sending: &Sending<'_>) -> Result<(), Problem> {
    let Some(message) = &sending.sent.message else {
        return Ok(());
    };
    let Ok(Some((_, recipient))) = recipients::of_message(&app.store, sending.to.session, message).await
    else {
        return Ok(());
    };
    if recipient.state != RecipientState::Failed {
        return Ok(());
    }
    let words = recipient
        .error
        .unwrap_or_else(|| "its file could not be sent".to_owned());
    Err(Problem::new(Code::InvalidField, "").with_field(sending.field, words))
}

/// Shows the file of a message as the document does: that of the message itself, or of the picture above its buttons.
fn show(shown: &mut Value, upload: &Upload) {
    let Some((kind, told)) = shown.as_object_mut().and_then(|shown| shown.iter_mut().next()) else {
        return;
    };
    let above = match kind.as_str() {
        "buttonsMessage" => "/imageMessage",
        "templateMessage" => "/hydratedTemplate/imageMessage",
        kind => {
            let kind = if upload.as_document {
                "documentMessage"
            } else {
                kind
            }
            .to_owned();
            let mut told = told.take();
            extend(&mut told, upload);
            *shown = json!({ kind: told });
            return;
        }
    };
    if let Some(above) = told.pointer_mut(above) {
        extend(above, upload);
    }
}

fn extend(told: &mut Value, upload: &Upload) {
    let url = upload.url.clone();
    let url = url.unwrap_or_else(|| format!("https://mmg.whatsapp.net{}", upload.direct_path));
    let thumbnail = upload.facts.thumbnail.as_ref();
    let fields = [
        ("url", url.into()),
        ("mimetype", upload.mimetype.clone().into()),
        ("fileSha256", STANDARD.encode(upload.sha256).into()),
        ("fileLength", upload.length.to_string().into()),
        ("mediaKey", STANDARD.encode(upload.key).into()),
        ("fileEncSha256", STANDARD.encode(upload.enc_sha256).into()),
        ("directPath", upload.direct_path.clone().into()),
        (
            "mediaKeyTimestamp",
            upload.uploaded_at.unix_timestamp().to_string().into(),
        ),
        (
            "jpegThumbnail",
            thumbnail.map(|small| STANDARD.encode(small)).into(),
        ),
    ];
    let there = fields
        .into_iter()
        .filter(|(_, value): &(&str, Value)| !value.is_null());
    let fields: Map<String, Value> = there.map(|(name, value)| (name.to_owned(), value)).collect();
    if let Some(told) = told.as_object_mut() {
        told.extend(fields);
    }
}
