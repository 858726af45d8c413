//! Versions of WhatsApp Web: the one built in, and the one that a page of WhatsApp Web names.
//!
//! Pure: whoever fetches a page hands over its bytes, and says what version is held and what time it is. A page is
//! believed only within bounds ([`Published::check`]): a version is told to the server at every login, and one that was
//! made up would be refused by it.
//!
//! Facts: docs/PROTOCOL.md, "Version".

use std::{fmt, str::FromStr, time::Duration};

use crate::time::Timestamp;

/// A version of WhatsApp Web, as in `2.3000.1043857760`. A later one is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientVersion {
    /// Major.
    pub primary: u32,
    /// Minor.
    pub secondary: u32,
    /// Build, which the pages call revision.
    pub tertiary: u32,
}

impl ClientVersion {
    /// The version that this library was written against.
    pub const KNOWN: Self = Self::web(1_043_857_760);
    /// When [`Self::KNOWN`] was current: 2026-07-25.
    pub const KNOWN_SINCE: Timestamp = Timestamp::from_secs(1_784_937_600);

    /// The version of a revision, as all clients seen make it.
    pub const fn web(revision: u32) -> Self {
        Self {
            primary: 2,
            secondary: 3_000,
            tertiary: revision,
        }
    }

    /// About when it was current, by its number, as seen at `now`: to some days for versions near the known one, to weeks
    /// for others, since builds do not come at one pace.
    pub fn estimated_since(self, now: Timestamp) -> Timestamp {
        let apart = |more: u32, less: u32| {
            DAY.mul_f64(f64::from(more.saturating_sub(less)) / f64::from(REVISIONS_PER_DAY))
        };
        let (own, known) = (self.tertiary, Self::KNOWN.tertiary);
        match own < known {
            true => Self::KNOWN_SINCE - apart(known, own),
            false => (Self::KNOWN_SINCE + apart(own, known)).min(now.max(Self::KNOWN_SINCE)),
        }
    }
}

impl fmt::Display for ClientVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.primary, self.secondary, self.tertiary)
    }
}

/// A text that is no version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be three numbers such as {}", ClientVersion::KNOWN)]
pub struct NoVersion;

impl FromStr for ClientVersion {
    type Err = NoVersion;

    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let mut parts = text.split('.').map(|part| {
            // `parse` alone takes a sign.
            let digits = part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse().ok().filter(|_| digits)
        });
        let mut next = || parts.next().flatten().ok_or(NoVersion);
        let (primary, secondary, tertiary) = (next()?, next()?, next()?);
        match parts.next() {
            None => Ok(Self {
                primary,
                secondary,
                tertiary,
            }),
            Some(_) => Err(NoVersion),
        }
    }
}

/// What a page says is the current version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The version.
    pub version: ClientVersion,
    /// When it was built, where the page says so.
    pub built: Option<Timestamp>,
}

/// Why a page is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPage {
    /// It names no version.
    #[error("the page names no version")]
    Unreadable,
    /// It names an older version than the one held, or than the one built in.
    #[error("the page names an older version")]
    Older,
    /// It names a version that can't be out yet.
    #[error("the page names a version that can't be out yet")]
    TooNew,
}

impl Published {
    /// Reads a page: the service worker's script (`sw.js`), where the JSON is a text of JavaScript and its quotes are
    /// escaped, or the page itself, where they are not. The first well-formed `client_revision` counts.
    ///
    /// # Errors
    /// [`BadPage::Unreadable`].
    pub fn read(page: &[u8]) -> Result<Self, BadPage> {
        let revision = number(page, b"client_revision").and_then(|number| u32::try_from(number).ok());
        let revision = revision.filter(|revision| *revision > 0);
        Ok(Self {
            version: ClientVersion::web(revision.ok_or(BadPage::Unreadable)?),
            built: number(page, b"__spin_t").map(Timestamp::from_secs),
        })
    }

    /// Whether it can be the current version at `now`, where `held` was the last one believed.
    ///
    /// # Errors
    /// [`BadPage::Older`], [`BadPage::TooNew`].
    pub fn check(&self, held: ClientVersion, now: Timestamp) -> Result<(), BadPage> {
        if self.version < held.max(ClientVersion::KNOWN) {
            return Err(BadPage::Older);
        }
        let time = now.since(ClientVersion::KNOWN_SINCE) + SLACK;
        let days = u32::try_from(time.as_secs() / DAY.as_secs()).unwrap_or(u32::MAX);
        let newest = ClientVersion::KNOWN
            .tertiary
            .saturating_add(days.saturating_mul(REVISIONS_PER_DAY_MAX));
        match self.version.tertiary <= newest {
            true => Ok(()),
            false => Err(BadPage::TooNew),
        }
    }

    /// When the version was built: as the page says, if that makes sense at `now`, else by its number.
    pub fn since(&self, now: Timestamp) -> Timestamp {
        let makes_sense = |built: &Timestamp| (OLDEST_BUILD..=now + DAY).contains(built);
        let told = self.built.filter(makes_sense);
        told.unwrap_or_else(|| self.version.estimated_since(now)).min(now)
    }
}

/// The number that stands behind the name in JSON, in whichever depth of quotes; `None` if it has more digits than any.
fn number(page: &[u8], name: &[u8]) -> Option<u64> {
    let mut quotes = (0..page.len()).filter(|at| page[*at] == b'"');
    quotes.find_map(|quote| {
        let rest = page[quote + 1..].strip_prefix(name)?;
        let rest = skip(rest, |byte| byte == b'\\', ESCAPES_MAX).strip_prefix(b"\"")?;
        let rest = skip(rest, |byte| byte.is_ascii_whitespace(), BLANKS_MAX).strip_prefix(b":")?;
        let rest = skip(rest, |byte| byte.is_ascii_whitespace(), BLANKS_MAX);
        let behind = skip(rest, |byte| byte.is_ascii_digit(), DIGITS_MAX);
        let is_whole = !behind.first().is_some_and(u8::is_ascii_digit);
        let digits = std::str::from_utf8(&rest[..rest.len() - behind.len()]).ok()?;
        digits.parse().ok().filter(|_| is_whole)
    })
}

/// What is left behind the first bytes that fit, of at most so many.
fn skip(bytes: &[u8], fits: impl Fn(u8) -> bool, most: usize) -> &[u8] {
    let count = bytes.iter().take(most).take_while(|byte| fits(**byte)).count();
    &bytes[count..]
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How far revisions went in a day of 2026; it was 41,000 half a year before.
const REVISIONS_PER_DAY: u32 = 65_000;
/// How far they may come to go: a bound against rubbish, with room for a pace that keeps growing.
const REVISIONS_PER_DAY_MAX: u32 = 4 * REVISIONS_PER_DAY;
/// Clocks go wrong, and the version built in was not the newest of its day.
const SLACK: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// Builds that say to be older than this (2020) say rubbish.
const OLDEST_BUILD: Timestamp = Timestamp::from_secs(1_577_836_800);
/// Backslashes before a quote: one, or more where a text holds a text.
const ESCAPES_MAX: usize = 7;
/// Blanks around a colon.
const BLANKS_MAX: usize = 16;
/// More digits than any number here has.
const DIGITS_MAX: usize = 12;

#[cfg(test)]
mod tests;
