//! What is shown of the page that a text links to: what the page says of itself, within limits of size and time, and never from
//! a network that is not allowed. Nothing is shown where that can't be had: no message waits longer, and none fails.

mod page;

use std::sync::Arc;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Response, Url};
use shared::store::previews::Preview;
use tokio::io::AsyncWriteExt as _;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use self::page::Page;
use super::look::{self, Limits, Stop};
use super::prepare::in_pieces;
use super::{Files, Role};

/// The longer side of the small picture, in points.
const SIDE: u32 = 192;

impl Files {
    /// What is shown of the page of a link, if it says so in time.
    pub(crate) async fn preview(&self, link: &str) -> Option<Preview> {
        let mut found = None;
        let looking = async {
            // Never closed.
            let _turn = self.pages.acquire().await.ok()?;
            let (mut preview, picture) = self.page(link).await?;
            found = Some(preview.clone());
            preview.thumbnail = self.small(&picture?).await;
            found = Some(preview);
            Some(())
        };
        if timeout(self.settings.preview.time, looking).await.is_err() {
            tracing::debug!("a page did not answer in time");
        }
        found
    }

    /// What a page says, and where its picture is.
    async fn page(&self, link: &str) -> Option<(Preview, Option<Url>)> {
        let response = self.follow(link).await.ok()?;
        let kind = response
            .headers()
            .get(CONTENT_TYPE)?
            .to_str()
            .ok()?
            .to_ascii_lowercase();
        let is_page = kind.starts_with("text/html") || kind.starts_with("application/xhtml+xml");
        let (address, encoding) = (response.url().clone(), page::encoding(&kind));
        let text = self.beginning(is_page.then_some(response)?).await?;
        let page = spawn_blocking(move || Page::read(&text, encoding)).await.ok()?;
        let picture = page.picture.and_then(|picture| address.join(&picture).ok());
        let preview = Preview {
            link: link.to_owned(),
            title: page.title?,
            description: page.description,
            thumbnail: None,
        };
        Some((preview, picture))
    }

    /// What a page begins with: it names itself there.
    async fn beginning(&self, mut response: Response) -> Option<Vec<u8>> {
        let most = usize::try_from(self.settings.preview.bytes).unwrap_or(usize::MAX);
        let mut text = Vec::new();
        while let Some(piece) = response.chunk().await.ok()? {
            text.extend_from_slice(&piece[..piece.len().min(most - text.len())]);
            if text.len() >= most {
                break;
            }
        }
        Some(text)
    }

    /// A small copy of a picture.
    async fn small(&self, picture: &Url) -> Option<bytes::Bytes> {
        let mut response = self.follow(picture.as_str()).await.ok()?;
        let limits = Limits {
            bytes: self.settings.preview.bytes,
            side: SIDE,
            ..self.settings.look.limits()
        };
        let whole = tempfile::tempfile_in(&self.settings.folder).ok()?;
        let (mut into, mut length) = (in_pieces(whole.try_clone().ok()?), 0);
        while let Some(piece) = response.chunk().await.ok()? {
            length += piece.len() as u64;
            if length > limits.bytes {
                return None;
            }
            into.write_all(&piece).await.ok()?;
        }
        into.flush().await.ok()?;
        let alone = Arc::clone(&self.pictures).acquire_owned().await.ok()?;
        let looked = spawn_blocking(move || {
            let _alone = alone;
            look::look(&whole, Role::Image, limits, &Stop::default())
        });
        looked.await.ok()?.ok()?.thumbnail
    }
}
