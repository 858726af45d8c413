//! Who has tokens with us, and under which name they are kept.

use crate::device::Device;
use crate::e2e::{Directory, is_own};
use crate::jid::{Jid, Server};

/// Whether tokens go between us and this user: one person, who is not us and no bot.
pub(super) fn has_tokens(device: &Device, user: &Jid) -> bool {
    let is_person = matches!(user.server(), Server::User | Server::Lid) && !user.user().is_empty();
    is_person && user.user() != ANNOUNCEMENTS && !is_bot(user) && !is_own(device, user)
}

/// The name that tokens are kept under: the hidden id if it is known.
pub(super) fn kept_under(directory: &Directory, user: &Jid) -> Jid {
    match directory.other_name(user) {
        Some(lid) if !user.is_lid() => lid,
        _ => user.to_bare(),
    }
}

/// Numbers that are given to bots.
fn is_bot(user: &Jid) -> bool {
    let in_range = |prefix: &str, digits: usize| {
        let rest = user.user().strip_prefix(prefix);
        rest.is_some_and(|rest| rest.len() == digits && rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    user.is_user() && (in_range("1313555", 4) || in_range("131655500", 2))
}

/// The user that announcements of the service come from.
const ANNOUNCEMENTS: &str = "0";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::testing::Lender;

    #[test]
    fn tokens_are_for_people() {
        let mut lender = Lender::new();
        let cx = lender.context();
        let has = |user: &str| has_tokens(cx.device, &user.parse().unwrap());
        assert!(has("15550002@s.whatsapp.net") && has("100@lid") && has("13135550000000@s.whatsapp.net"));
        for other in [
            "0@s.whatsapp.net",
            "s.whatsapp.net",
            "13135550002@s.whatsapp.net",
            "13165550012@s.whatsapp.net",
            "1-2@g.us",
            "status@broadcast",
            "1@newsletter",
            "1@bot",
        ] {
            assert!(!has(other), "{other}");
        }
    }
}
