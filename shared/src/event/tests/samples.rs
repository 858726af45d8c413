//! One event of each kind, as the product tells it.

use serde_json::json;

use super::*;
use crate::content::Text;
use crate::id::{JobId, QueueId, StanzaId};
use crate::job::{FailureCode, GroupMetadata, GroupParticipant, Label, LinkedGroup, Reference};

pub(super) fn instance() -> Instance {
    Instance {
        owner: Some("553195918699@s.whatsapp.net".into()),
        name: Token::new("codechat").unwrap(),
    }
}

pub(super) fn not_on_whatsapp(queue: QueueId) -> Event {
    Event::SendError(SendError {
        number: "5531900000001@s.whatsapp.net".to_owned(),
        message: "The number entered is not a valid whatsapp contact".to_owned(),
        status: 404,
        error: "Not Found",
        queue_id: queue,
        reference: None,
        queue_reference: None,
    })
}

pub(super) fn unanswered(queue_id: QueueId, stanza: &StanzaId) -> Event {
    Event::SendUnknown(SendUnknown {
        number: "5531900000001@s.whatsapp.net".into(),
        message_id: Some(stanza.clone()),
        message: "WhatsApp did not acknowledge the message in 5 attempts".into(),
        status: 504,
        error: "Gateway Timeout",
        queue_id,
        reference: Some(Reference::new("Ana").unwrap()),
        queue_reference: None,
    })
}

pub(super) fn passkey_requested(token: Token) -> Event {
    let options = json!({ "challenge": "AAEC", "rpId": "whatsapp.com", "timeout": 600_000 });
    let expires_at = time::macros::datetime!(2026-11-21 20:00 UTC);
    Event::passkey(token, Passkey::Requested { options, expires_at })
}

pub(super) fn named(id: QueueId) -> QueueName {
    let reference = Some(Reference::new("order 17").unwrap());
    QueueName { id, reference }
}

pub(super) fn settled() -> Settled {
    Settled {
        number: "5531900000001@s.whatsapp.net".into(),
        state: "sent",
        reference: Some(Reference::new("Ana").unwrap()),
    }
}

pub(super) fn rejected() -> Event {
    Event::JobRejected(JobRejected {
        job_id: Some(JobId::new("job-1").unwrap()),
        kind: Some("send".into()),
        code: FailureCode::InvalidJob,
        field: Some("numbers[3]".into()),
        queue_id: None,
        message_id: None,
        message: "must not be empty".into(),
    })
}

pub(super) fn update(stanza: &StanzaId) -> UpdateHeader {
    UpdateHeader {
        message_id: stanza.clone(),
        wuid: "5531900000001@s.whatsapp.net".into(),
        from_me: true,
        participant: None,
        lid: None,
        phone_number: None,
    }
}

pub(super) fn restricted(now: i64) -> Event {
    Event::SessionRestricted(SessionRestricted {
        kind: RestrictionKind::TimeLock,
        since: now,
        until: now + 86_400_000,
        reason: Some("RESTRICT_ALL_COMPANIONS".into()),
    })
}

pub(super) fn present() -> Event {
    let presence = Presence {
        last_known_presence: KnownPresence::Unavailable,
        last_seen: Some(1_672_004_025),
        lid: Some("98765@lid".into()),
    };
    let jid = "5531900000001@s.whatsapp.net".to_owned();
    Event::PresenceUpdate(PresenceUpdate {
        presences: [(jid.clone(), presence)].into(),
        jid,
    })
}

pub(super) fn contact() -> Contact {
    let token = Token::new("codechat").unwrap();
    Contact {
        lid: Some("98765@lid".into()),
        phone_number: Some("5531900000001".into()),
        contact_name: Some(Some("Ana".into())),
        ..Contact::new("5531900000001@s.whatsapp.net".into(), token)
    }
}

pub(super) fn renamed() -> Event {
    Event::ContactsUpdate(vec![Contact {
        push_name: Some("Ana".into()),
        about: Some(None),
        picture: Some(PictureChange::Removed),
        profile_picture_url: Some(None),
        former: Some(FormerContact {
            wuid: "5531900000000@s.whatsapp.net".into(),
            lid: None,
            phone_number: Some("5531900000000".into()),
        }),
        ..contact()
    }])
}

pub(super) fn another_identity() -> Event {
    Event::ContactIdentity(ContactIdentity {
        wuid: "5531900000001@s.whatsapp.net".into(),
        lid: Some("98765@lid".into()),
        phone_number: Some("5531900000001".into()),
        device: 0,
        learnt_from: IdentitySource::Notification,
    })
}

pub(super) fn called(now: i64) -> Event {
    Event::Call(Call {
        call_id: "8F1C2A3B4D5E6F708192A3B4C5D6E7F8".into(),
        status: CallStatus::Offer,
        wuid: "5531900000001@s.whatsapp.net".into(),
        lid: Some("98765@lid".into()),
        phone_number: Some("5531900000001".into()),
        caller_name: Some("Ana".into()),
        is_video: true,
        is_group: false,
        group: None,
        automatic: false,
        reason: None,
        offline: false,
        since: Some(now),
    })
}

pub(super) fn message_ref(stanza: &StanzaId) -> MessageRef {
    MessageRef {
        message_id: stanza.clone(),
        from_me: false,
        wuid: "5531900000001@s.whatsapp.net".into(),
        participant: None,
    }
}

pub(super) fn changed_chat(now: i64) -> Event {
    Event::ChatsUpdate(vec![ChatUpdate {
        id: "5531900000001@s.whatsapp.net".into(),
        lid: Some("98765@lid".into()),
        conversation_timestamp: Some(1_666_473_399),
        unread_count: Some(0),
        marked_unread: Some(false),
        archived: Some(true),
        pinned: Some(None),
        mute_end_time: Some(Some(now)),
    }])
}

pub(super) fn labels() -> [Event; 2] {
    [
        Event::LabelsEdit(LabelEdit {
            id: "7".into(),
            name: "New customer".into(),
            color: 3,
            predefined_id: None,
            deleted: false,
        }),
        Event::LabelsAssociation(LabelAssociation {
            label_id: "7".into(),
            kind: Labeled::Chat,
            wuid: "5531900000001@s.whatsapp.net".into(),
            lid: None,
            message_id: None,
            labeled: true,
        }),
    ]
}

pub(super) fn ana() -> GroupPerson {
    GroupPerson {
        id: "5531900000001@s.whatsapp.net".into(),
        lid: Some("98765@lid".into()),
        phone_number: Some("5531900000001".into()),
    }
}

pub(super) fn group_change(now: i64) -> GroupChangeHeader {
    GroupChangeHeader {
        id: "120363000000000001@g.us".into(),
        change_id: "3491502-41".into(),
        author: Some(ana()),
        author_name: Some("Ana".into()),
        addressing: Some("lid".into()),
        since: Some(now),
    }
}

pub(super) fn joined(now: i64) -> Event {
    let participant = GroupParticipant {
        id: ana().id,
        lid: ana().lid,
        admin: Some("superadmin".into()),
    };
    Event::GroupJoined(Box::new(GroupJoined {
        change: group_change(now),
        group: GroupMetadata {
            id: "120363000000000001@g.us".into(),
            subject: "Friends".into(),
            creation: Some(1_672_004_593),
            owner: Some(ana().id),
            description: None,
            restrict: false,
            announce: false,
            all_may_add: false,
            asks_to_join: false,
            disappearing_seconds: None,
            community: None,
            is_community: false,
            is_announcement_group: false,
            addressing: "lid".into(),
            size: 1,
            participants: vec![participant],
        },
        reason: Some("invite".into()),
    }))
}

pub(super) fn updated(now: i64) -> Event {
    Event::GroupUpdate(Box::new(GroupUpdate {
        subject: Some("Best friends".into()),
        ..GroupUpdate::new(group_change(now))
    }))
}

pub(super) fn participants(now: i64) -> Event {
    Event::GroupParticipants(Box::new(GroupParticipants {
        change: group_change(now),
        action: ParticipantsAction::Add,
        participants: vec![ana()],
        reason: None,
    }))
}

pub(super) fn join_request(now: i64) -> Event {
    Event::GroupJoinRequest(Box::new(GroupJoinRequest {
        change: group_change(now),
        action: RequestAction::Created,
        participants: vec![ana()],
        method: Some("invite_link".into()),
    }))
}

pub(super) fn gone(now: i64) -> Event {
    Event::GroupGone(Box::new(GroupGone {
        change: group_change(now),
        cause: GoneCause::Removed,
        reason: None,
    }))
}

pub(super) fn linked(now: i64) -> Event {
    Event::GroupLink(Box::new(GroupLink {
        change: group_change(now),
        action: LinkAction::Linked,
        relation: LinkRelation::Group,
        groups: vec![LinkedGroup {
            id: "120363000000000002@g.us".into(),
            subject: "Cooks".into(),
            is_announcement_group: false,
        }],
        reason: None,
    }))
}

pub(super) fn header(stanza: &StanzaId) -> MessageHeader {
    MessageHeader {
        message_id: stanza.clone(),
        from_me: false,
        wuid: "5531900000001@s.whatsapp.net".into(),
        lid: Some("98765@lid".into()),
        phone_number: Some("5531900000001".into()),
        participant: None,
        push_name: Some("Ana".into()),
    }
}

pub(super) fn came_in(stanza: &StanzaId) -> NewMessage {
    let header = header(stanza);
    let body = MessageBody {
        message_type: "conversation".into(),
        message: json!("Test"),
    };
    let context = MessageContext {
        source_device: "android".into(),
        message_timestamp: 1_666_479_478,
        from_group: false,
    };
    NewMessage {
        header,
        body,
        context,
    }
}

pub(super) fn deleted(stanza: &StanzaId) -> Event {
    Event::MessagesDelete(MessagesDelete::Messages(vec![DeletedMessage {
        message_id: stanza.clone(),
        from_me: false,
        wuid: "120363000000000001@g.us".into(),
        lid: ana().lid,
        phone_number: ana().phone_number,
        participant: Some(ana().id),
        deleted_by: Some("5531900000002@s.whatsapp.net".into()),
    }]))
}

pub(super) fn key(stanza: &StanzaId) -> MessageRef {
    MessageRef {
        message_id: stanza.clone(),
        from_me: true,
        wuid: "5531900000001@s.whatsapp.net".into(),
        participant: None,
    }
}

pub(super) fn reacted(stanza: &StanzaId, now: i64) -> Event {
    Event::MessageReaction(Box::new(MessageReaction {
        header: header(stanza),
        reaction: ReactionTold {
            key: key(stanza),
            text: Some("🦖".into()),
        },
        date_time: now,
    }))
}

pub(super) fn voted(stanza: &StanzaId, now: i64) -> Event {
    let total = |name: &str, votes| OptionTotal {
        name: name.into(),
        votes,
    };
    Event::PollVote(Box::new(PollVote {
        header: header(stanza),
        poll: PollTold {
            key: key(stanza),
            name: "When?".into(),
        },
        vote: VoteTold {
            selected_options: vec!["today".into()],
        },
        totals: Some(PollTotals {
            voters: 2,
            options: vec![total("today", 2), total("tomorrow", 0)],
        }),
        date_time: now,
    }))
}

pub(super) fn clicked(stanza: &StanzaId) -> Event {
    Event::MessageLinkClick(Box::new(LinkClick {
        header: header(stanza),
        link: LinkTold {
            title: Some("Flowers".into()),
            source_url: Some("https://fb.me/abc".into()),
            source_type: Some("ad".into()),
            source_id: Some("120210000000000001".into()),
            ctwa_clid: Some("ARAkLkA8rmlFeiCktEJQ".into()),
            conversion_source: Some("FB_Ads".into()),
            conversion_data: Some("AQID".into()),
            entry_point: Some("ctwa_ad".into()),
            entry_point_app: Some("instagram".into()),
            ..LinkTold::default()
        },
    }))
}

pub(super) fn past_chat() -> SetChat {
    SetChat {
        id: "120363000000000001@g.us".into(),
        participant: vec![ChatParticipant {
            person: ana(),
            admin: true,
        }],
        lid: None,
        phone_number: None,
        name: Some("Friends".into()),
        conversation_timestamp: Some(1_666_473_399),
        unread_count: 1,
        archived: false,
        pinned: false,
    }
}

pub(super) fn past_contact(token: Token) -> SetContact {
    SetContact {
        wuid: ana().id,
        phone_number: ana().phone_number,
        lid: ana().lid,
        contact_name: Some("Ana Souza".into()),
        push_name: Some("Ana".into()),
        profile_picture_url: None,
        instance_name: token,
    }
}

pub(super) fn taken_in() -> HistoryProgress {
    HistoryProgress {
        kind: HistoryPieceKind::Recent,
        chunk: Some(2),
        progress: Some(40),
        request_id: None,
        chats: 12,
        contacts: 11,
        messages: 512,
        skipped: 3,
        error: None,
    }
}

pub(super) fn accepted(queue: QueueId) -> Event {
    Event::JobAccepted(JobAccepted {
        job_id: JobId::new("job-1").unwrap(),
        queue_id: queue,
        total: 3,
        raised_delay: None,
        reference: Some(Reference::new("order 17").unwrap()),
        label: Some(Label::new("spring").unwrap()),
        reading: None,
    })
}

pub(super) fn samples() -> Vec<Event> {
    let now = 1_672_004_593_500;
    let token = Token::new("codechat").unwrap();
    let queue: QueueId = "78e37ede-32d9-4636-83f0-39469daf89f6".parse().unwrap();
    let stanza = StanzaId::new("3A8B7F4631EA2A840895").unwrap();
    let content = Text::new("hi").into();
    let data = || {
        QueueData::new(
            &content,
            vec!["5531900000001@s.whatsapp.net".into()],
            vec![stanza.clone()],
            1,
        )
    };
    let update = update(&stanza);
    let [label_made, label_given] = labels();
    vec![
        Event::connection(token.clone(), 7, ConnectionState::Open, 200),
        Event::qr_code(
            token.clone(),
            "2@J9pW".into(),
            "data:image/png;base64,iVBO".into(),
        ),
        passkey_requested(token.clone()),
        restricted(now),
        Event::SessionUnrestricted(SessionUnrestricted {
            kind: RestrictionKind::TimeLock,
            since: now,
        }),
        present(),
        Event::ContactsUpsert(vec![contact()]),
        renamed(),
        another_identity(),
        called(now),
        Event::NewMessage(Box::new(came_in(&stanza))),
        Event::StatusBroadcast(Box::new(came_in(&stanza))),
        Event::message_status(MessageStatus::DeliveryAck, update, now),
        deleted(&stanza),
        reacted(&stanza, now),
        voted(&stanza, now),
        clicked(&stanza),
        Event::ChatsSet(vec![past_chat()]),
        Event::ContactsSet(vec![past_contact(token)]),
        Event::MessagesSet(vec![came_in(&stanza)]),
        Event::HistoryProgress(taken_in()),
        Event::MessageStar(MessageStar {
            key: message_ref(&stanza),
            starred: true,
        }),
        changed_chat(now),
        Event::ChatsDelete(vec!["5531900000001@s.whatsapp.net".into()]),
        label_made,
        label_given,
        joined(now),
        updated(now),
        participants(now),
        join_request(now),
        gone(now),
        linked(now),
        Event::send_start(queue),
        Event::send_processing(named(queue), Some(stanza.clone()), settled(), 67, now),
        Event::send_completed(named(queue), data(), now),
        not_on_whatsapp(queue),
        unanswered(queue, &stanza),
        Event::queue(QueueAction::Pause, queue, 43, data(), now),
        Event::queue(QueueAction::Resume, queue, 43, data(), now),
        Event::queue(QueueAction::Delete, queue, 95, data(), now),
        accepted(queue),
        rejected(),
    ]
}
