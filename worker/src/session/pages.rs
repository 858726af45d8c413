//! The page that the text of a queue links to: asked once for all recipients, beside the sends.
//!
//! What it says is written down before anybody is sent to, also that it says nothing, so that who asks for a message again gets
//! the same.

use shared::id::QueueId;
use shared::store::{Fence, Store, previews};

use super::context::Transferred;
use crate::media::Files;

/// What is shown of the page, as it is stored, or found out now.
pub(super) async fn preview(
    store: Store,
    fence: Fence,
    id: QueueId,
    files: Files,
    link: String,
) -> Transferred {
    match previews::find(&store, id).await {
        Ok(Some(known)) => return Transferred::Previewed(known.map(Box::new)),
        Ok(None) => {}
        Err(error) => return Transferred::Lost(error),
    }
    let found = files.preview(&link).await;
    match previews::save(&store, fence, id, found.as_ref()).await {
        Ok(()) => Transferred::Previewed(found.map(Box::new)),
        Err(error) => Transferred::Lost(error),
    }
}
