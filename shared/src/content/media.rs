//! A file that a message carries: where it comes from, and what kinds with a file have in common.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::thumbnail;
use super::words::check_text;
use crate::body::JobError;
use crate::egress::Reach;
use crate::id::MediaId;

/// Most bytes of a file that is given in the job itself, decoded: it is stored with its queue and read with it. Larger ones
/// are named by a URL, or uploaded and named by their id.
pub const INLINE_MAX_BYTES: usize = 1_048_576;
/// Most bytes of a caption.
pub(super) const CAPTION_MAX_BYTES: usize = 65_536;
/// Most bytes of a file's name.
pub(super) const NAME_MAX_BYTES: usize = 255;
/// Most points of a side.
const SIZE_MAX: u32 = 65_535;
/// Longest film or sound.
const SECONDS_MAX: u32 = 604_800;
/// Most bytes of a type such as `image/jpeg`, with its parameters.
const MIMETYPE_MAX_BYTES: usize = 255;

/// Where a file comes from: one of `url`, `base64` and `id`; and what its caller knows of it, which is believed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Media {
    /// An `http` or `https` address, without a user or password, that the worker fetches it from once for all recipients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The file itself, in base64, at most 1,048,576 bytes decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// A file that was uploaded before (`POST /v1/media`), by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<MediaId>,
    /// Its type, such as `image/jpeg`; found out by how it begins where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mimetype: Option<String>,
    /// How wide it is shown, in points, 1 to 65,535; with `height`. Of pictures, films and stickers; found out where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// How high, in the same way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// How many seconds it is long, at most 604,800. Of films and sounds; found out where it is not given, as far as it says so itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
    /// What is shown of it before it is loaded: a JPEG in base64, at most 65,536 bytes decoded. Of pictures, where one is made
    /// if it is not given, and of films and documents, where none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnail: Option<String>,
}

/// What a caller may know of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// How wide and how high it is.
    Size,
    /// How long it is.
    Seconds,
    /// How it looks.
    Thumbnail,
}

/// What to do about a file that is not of the kind that it is sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Otherwise {
    /// It is sent as a document.
    Document,
}

/// The source of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// It is fetched from here.
    Url(&'a str),
    /// It is this, in base64.
    Inline(&'a str),
    /// It was uploaded before, and is kept under this id.
    Stored(MediaId),
}

impl Media {
    /// Where it comes from; `None` for what was never checked.
    pub fn source(&self) -> Option<Source<'_>> {
        match (&self.url, &self.base64, self.id) {
            (Some(url), None, None) => Some(Source::Url(url)),
            (None, Some(text), None) => Some(Source::Inline(text)),
            (None, None, Some(id)) => Some(Source::Stored(id)),
            _ => None,
        }
    }

    /// What it is called as a document: as its caller says, else by the last part of its URL.
    pub(super) fn name<'a>(&'a self, given: Option<&'a str>) -> &'a str {
        let of_url = || {
            let (_, behind) = self.url.as_deref()?.split_once("://")?;
            let path = behind.split(['?', '#']).next()?;
            path.split_once('/')?.1.rsplit('/').find(|part| !part.is_empty())
        };
        let name = given.or_else(of_url);
        name.filter(|name| name.len() <= NAME_MAX_BYTES).unwrap_or("file")
    }

    /// Checks it, `at` its place among the fields of the message.
    pub(super) fn check(&self, at: &str) -> Result<(), JobError> {
        let field = |name: &str| format!("{at}.{name}");
        match self.source() {
            None => return Err(JobError::new(at, "must have one of `url`, `base64`, `id`")),
            // Which networks it may be in is the worker's to know.
            Some(Source::Url(url)) => drop(
                Reach::Anywhere
                    .check(url)
                    .map_err(|error| JobError::new(field("url"), error.to_string()))?,
            ),
            Some(Source::Inline(text)) => {
                check_inline(text).map_err(|problem| JobError::new(field("base64"), problem))?
            }
            // Whether it is there is the door's, or the worker's, to know.
            Some(Source::Stored(_)) => {}
        }
        match &self.mimetype {
            Some(mimetype) if mimetype.is_ascii() && mimetype.contains('/') => {
                check_text(&field("mimetype"), mimetype, MIMETYPE_MAX_BYTES)
            }
            Some(_) => Err(JobError::new(
                field("mimetype"),
                "must be a type such as `image/jpeg`",
            )),
            None => Ok(()),
        }
    }
}

impl Media {
    /// Its size, as its caller knows it.
    pub fn size(&self) -> Option<(u32, u32)> {
        self.width.zip(self.height)
    }

    /// Its small picture, as its caller has made it.
    pub fn jpeg(&self) -> Option<Vec<u8>> {
        thumbnail::jpeg(self.thumbnail.as_deref()?)
    }

    /// Checks what its caller knows of it, of which a kind has a place for these; `at` as above.
    pub(super) fn check_known(&self, at: &str, places: &[Known]) -> Result<(), JobError> {
        let field = |name: &str| format!("{at}.{name}");
        for (name, given, known) in [
            ("width", self.width.is_some(), Known::Size),
            ("height", self.height.is_some(), Known::Size),
            ("seconds", self.seconds.is_some(), Known::Seconds),
            ("thumbnail", self.thumbnail.is_some(), Known::Thumbnail),
        ] {
            if given && !places.contains(&known) {
                return Err(JobError::new(field(name), "has no place in this kind"));
            }
        }
        for (name, value, other) in [
            ("width", self.width, self.height),
            ("height", self.height, self.width),
        ] {
            match value {
                Some(points) if !(1..=SIZE_MAX).contains(&points) => {
                    return Err(JobError::new(field(name), format!("must be 1 to {SIZE_MAX}")));
                }
                None if other.is_some() => {
                    return Err(JobError::new(
                        field(name),
                        "is required where the other one is given",
                    ));
                }
                _ => {}
            }
        }
        if self.seconds.is_some_and(|seconds| seconds > SECONDS_MAX) {
            return Err(JobError::new(
                field("seconds"),
                format!("must be at most {SECONDS_MAX}"),
            ));
        }
        thumbnail::check(&field("thumbnail"), self.thumbnail.as_deref())
    }
}

fn check_inline(text: &str) -> Result<(), String> {
    let problem = match STANDARD.decode(text) {
        Ok(bytes) if bytes.is_empty() => "must not be empty".to_owned(),
        Ok(bytes) if bytes.len() > INLINE_MAX_BYTES => {
            format!(
                "must be at most {INLINE_MAX_BYTES} bytes decoded; name a larger file by its `url`, or upload it and name its `id`"
            )
        }
        Ok(_) => return Ok(()),
        Err(_) => "must be base64".to_owned(),
    };
    Err(problem)
}
