//! What is known of a file that is sent: how large a picture is and a small copy of it, how long a sound or a film is.
//!
//! The file is looked at where it lies, a piece at a time and within limits: it is anybody's. A reader that fails, or that
//! panics, has met what it can't read; that is no picture, and a sound or a film of which nothing is known. Blocks.

mod limits;
mod loudness;
mod picture;
mod recording;
mod source;
mod turn;

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};

use shared::store::uploads::Facts;

pub(super) use self::limits::{Limits, Unreadable};
use self::source::Source;
pub(super) use self::source::Stop;
use super::Role;

/// Looks at a file that is sent as this.
///
/// # Errors
/// [`Unreadable`]: it is to be a picture and none that can be shown.
pub(super) fn look(file: &File, role: Role, limits: Limits, stop: &Stop) -> Result<Facts, Unreadable> {
    if role == Role::Document {
        return Ok(Facts::default());
    }
    let source = || Ok::<_, Unreadable>(Source::new(file.try_clone()?, limits.bytes, stop.clone())?);
    let looked = catch_unwind(AssertUnwindSafe(|| match role {
        Role::Image | Role::Sticker => picture::look(source()?, limits),
        Role::Video => Ok(film(turn::lies(source()?), recording::film(source()?))),
        _ => Ok(recording::sound(source()?, role)),
    }));
    match (looked, role) {
        (Ok(Err(Unreadable::Broken)), _) if stop.is_asked() => Err(Unreadable::TooSlow),
        (Ok(looked), _) => looked,
        (Err(_), Role::Image | Role::Sticker) => Err(Unreadable::Broken),
        (Err(_), _) => Ok(Facts::default()),
    }
}

/// A film as it is shown: one that lies on its side is turned.
fn film(lies: bool, facts: Facts) -> Facts {
    let size = facts
        .size
        .map(|(width, height)| if lies { (height, width) } else { (width, height) });
    Facts { size, ..facts }
}

#[cfg(test)]
mod tests;
