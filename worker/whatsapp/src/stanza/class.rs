//! Which stanza attributes a message's content asks for.
//!
//! Facts: docs/PROTOCOL.md, "Message content": servers drop media without its media type, and revokes that are marked
//! as hidden.

use crate::event::unwrapped;
use crate::proto::message::protocol_message::Type;
use crate::proto::{Message, MessageKey};

/// The attributes that follow from a message's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// `type` of the message stanza.
    pub kind: &'static str,
    /// `mediatype` of each `enc`.
    pub media_type: Option<&'static str>,
    /// `edit` of the message stanza.
    pub edit: Option<&'static str>,
    /// Whether recipients that can't decrypt it show nothing (`decrypt-fail="hide"`).
    pub hidden: bool,
    /// The attribute of the `meta` child, if there is one.
    pub meta: Option<(&'static str, &'static str)>,
    /// Whether it is of the native flow, which goes with nodes of its own.
    pub native_flow: bool,
}

impl Class {
    const TEXT: Self = Self::of("text");
    const EDIT: Self = Self::TEXT.edit("1").hide();
    /// Of what hands a key over and is never shown.
    pub(crate) const KEY: Self = Self::TEXT;

    const fn of(kind: &'static str) -> Self {
        Self {
            kind,
            media_type: None,
            edit: None,
            hidden: false,
            meta: None,
            native_flow: false,
        }
    }

    const fn media(media_type: &'static str) -> Self {
        Self {
            media_type: Some(media_type),
            ..Self::of("media")
        }
    }

    const fn hide(self) -> Self {
        Self { hidden: true, ..self }
    }

    const fn edit(self, edit: &'static str) -> Self {
        Self {
            edit: Some(edit),
            ..self
        }
    }

    const fn meta(self, name: &'static str, value: &'static str) -> Self {
        Self {
            meta: Some((name, value)),
            ..self
        }
    }

    /// The class of this content.
    #[must_use]
    pub fn of_message(message: &Message) -> Self {
        if message.edited_message.is_some() {
            // Some clients wrap what a message says now instead of naming it beside its key.
            return Self::EDIT;
        }
        let message = unwrapped(message);
        if let Some(protocol) = &message.protocol_message {
            return match protocol.r#type.and_then(|kind| Type::try_from(kind).ok()) {
                Some(Type::Revoke) if is_of_another(protocol.key.as_ref()) => Self::TEXT.edit("8"),
                Some(Type::Revoke) => Self::TEXT.edit("7"),
                Some(Type::MessageEdit) => Self::EDIT,
                _ => Self::TEXT,
            };
        }
        Self::of_media(message)
            .or_else(|| Self::of_action(message))
            .unwrap_or(Self::TEXT)
    }

    fn of_media(message: &Message) -> Option<Self> {
        let video = message.video_message.as_ref();
        let is_gif = video.is_some_and(|video| video.gif_playback.unwrap_or_default());
        let audio = message.audio_message.as_ref();
        let is_voice = audio.is_some_and(|audio| audio.ptt.unwrap_or_default());
        let media_types = [
            (message.image_message.is_some(), "image"),
            (video.is_some(), if is_gif { "gif" } else { "video" }),
            (message.ptv_message.is_some(), "ptv"),
            (audio.is_some(), if is_voice { "ptt" } else { "audio" }),
            (message.document_message.is_some(), "document"),
            (message.sticker_message.is_some(), "sticker"),
            (message.contact_message.is_some(), "vcard"),
            (message.contacts_array_message.is_some(), "contact_array"),
            (message.location_message.is_some(), "location"),
            (message.live_location_message.is_some(), "livelocation"),
            (message.list_message.is_some(), "list"),
            (message.list_response_message.is_some(), "list_response"),
            (message.buttons_response_message.is_some(), "buttons_response"),
            (
                message.interactive_response_message.is_some(),
                "native_flow_response",
            ),
            (message.group_invite_message.is_some(), "url"),
            (has_preview(message), "url"),
        ];
        let (_, media_type) = media_types.into_iter().find(|(is_there, _)| *is_there)?;
        Some(Self::media(media_type))
    }

    fn of_action(message: &Message) -> Option<Self> {
        Some(if let Some(reaction) = &message.reaction_message {
            let class = Self::of("reaction").hide();
            let removed = reaction.text.as_deref().is_some_and(str::is_empty);
            if removed { class.edit("7") } else { class }
        } else if message.enc_reaction_message.is_some() {
            Self::of("reaction").hide()
        } else if message.poll_creation_message.is_some()
            || message.poll_creation_message_v2.is_some()
            || message.poll_creation_message_v3.is_some()
            || message.poll_creation_message_v5.is_some()
        {
            Self::of("poll").meta("polltype", "creation")
        } else if message.poll_update_message.is_some() {
            Self::of("poll").hide().meta("polltype", "vote")
        } else if message.event_message.is_some() {
            Self::of("event").meta("event_type", "creation")
        } else if message.interactive_message.is_some() {
            Self {
                native_flow: true,
                ..Self::TEXT
            }
        } else if message.pin_in_chat_message.is_some() {
            Self::TEXT.edit("2").hide()
        } else if message.keep_in_chat_message.is_some() {
            Self::TEXT.hide()
        } else {
            return None;
        })
    }
}

/// Whether a text shows something of the page that it links to.
fn has_preview(message: &Message) -> bool {
    let text = message.extended_text_message.as_ref();
    text.is_some_and(|text| text.title.is_some())
}

/// Whether somebody else wrote the message: an admin of the group takes it back.
fn is_of_another(key: Option<&MessageKey>) -> bool {
    key.is_some_and(|key| key.from_me == Some(false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::message::{
        AudioMessage, ExtendedTextMessage, FutureProofMessage, ImageMessage, ProtocolMessage, ReactionMessage,
    };

    #[test]
    fn text_needs_nothing() {
        let message = Message {
            conversation: Some("hi".into()),
            ..Message::default()
        };
        assert_eq!(Class::of_message(&message), Class::TEXT);
    }

    #[test]
    fn a_text_with_a_preview_is_media() {
        let text = |title: Option<&str>| Message {
            extended_text_message: Some(Box::new(ExtendedTextMessage {
                text: Some("https://example.com".into()),
                title: title.map(str::to_owned),
                ..Default::default()
            })),
            ..Message::default()
        };
        assert_eq!(Class::of_message(&text(None)), Class::TEXT);
        assert_eq!(Class::of_message(&text(Some("Shop"))), Class::media("url"));
    }

    #[test]
    fn media_is_classified_inside_its_wrappers() {
        let image = Message {
            image_message: Some(Box::<ImageMessage>::default()),
            ..Message::default()
        };
        let wrapped = Message {
            view_once_message: Some(Box::new(FutureProofMessage {
                message: Some(Box::new(image)),
            })),
            ..Message::default()
        };
        assert_eq!(Class::of_message(&wrapped), Class::media("image"));
        let voice = AudioMessage {
            ptt: Some(true),
            ..AudioMessage::default()
        };
        let voice = Message {
            audio_message: Some(Box::new(voice)),
            ..Message::default()
        };
        assert_eq!(Class::of_message(&voice).media_type, Some("ptt"));
    }

    #[test]
    fn an_edit_is_one_in_either_form() {
        let edit = ProtocolMessage {
            r#type: Some(Type::MessageEdit.into()),
            ..ProtocolMessage::default()
        };
        let edit = Message {
            protocol_message: Some(Box::new(edit)),
            ..Message::default()
        };
        let wrapped = Message {
            edited_message: Some(Box::new(FutureProofMessage {
                message: Some(Box::new(edit.clone())),
            })),
            ..Message::default()
        };
        for message in [edit, wrapped] {
            let class = Class::of_message(&message);
            assert_eq!((class.kind, class.edit, class.hidden), ("text", Some("1"), true));
        }
    }

    #[test]
    fn an_admin_takes_back_what_others_wrote() {
        let revoke = |from_me: Option<bool>| {
            let protocol = ProtocolMessage {
                r#type: Some(Type::Revoke.into()),
                key: Some(MessageKey {
                    from_me,
                    ..Default::default()
                }),
                ..Default::default()
            };
            Class::of_message(&Message {
                protocol_message: Some(Box::new(protocol)),
                ..Message::default()
            })
        };
        assert_eq!(revoke(Some(true)).edit, Some("7"));
        assert_eq!(revoke(None).edit, Some("7"));
        assert_eq!(revoke(Some(false)).edit, Some("8"));
    }

    #[test]
    fn an_event_is_told_by_its_meta_and_a_flow_by_its_nodes() {
        let event = Class::of_message(&Message {
            event_message: Some(Box::default()),
            ..Message::default()
        });
        assert_eq!(
            (event.kind, event.meta),
            ("event", Some(("event_type", "creation")))
        );
        let flow = Class::of_message(&Message {
            interactive_message: Some(Box::default()),
            ..Message::default()
        });
        assert_eq!((flow.kind, flow.native_flow), ("text", true));
    }

    #[test]
    fn a_revoke_is_never_hidden() {
        let protocol = |kind: Type| Message {
            protocol_message: Some(Box::new(ProtocolMessage {
                r#type: Some(kind.into()),
                ..Default::default()
            })),
            ..Message::default()
        };
        let revoke = Class::of_message(&protocol(Type::Revoke));
        assert_eq!((revoke.edit, revoke.hidden), (Some("7"), false));
        let edit = Class::of_message(&protocol(Type::MessageEdit));
        assert_eq!((edit.edit, edit.hidden), (Some("1"), true));
        let gone = ReactionMessage {
            text: Some(String::new()),
            ..ReactionMessage::default()
        };
        let gone = Message {
            reaction_message: Some(Box::new(gone)),
            ..Message::default()
        };
        assert_eq!(Class::of_message(&gone).edit, Some("7"));
    }
}
