//! An invitation to a group, for the person that it was sent to. It only comes in.

use whatsapp::proto;

use super::described::{Described, context};

pub(super) fn describe(message: &proto::Message) -> Option<Described> {
    let invitation = message.group_invite_message.as_deref()?;
    let fields = [
        ("groupJid", invitation.group_jid.clone().into()),
        ("groupName", invitation.group_name.clone().into()),
        ("inviteCode", invitation.invite_code.clone().into()),
        ("inviteExpiration", invitation.invite_expiration.into()),
        ("caption", invitation.caption.clone().into()),
        ("contextInfo", context(invitation.context_info.as_deref())),
    ];
    Some(Described::new("groupInviteMessage", fields))
}
