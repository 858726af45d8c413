//! What WhatsApp says of groups, as the product tells it.

use shared::event::{
    Event, GoneCause, GroupChangeHeader, GroupGone, GroupJoinRequest, GroupJoined, GroupLink,
    GroupParticipants, GroupPerson, GroupUpdate, LinkAction, LinkRelation, ParticipantsAction, PictureChange,
    RequestAction,
};
use shared::job::{
    Answer, FailureCode, GroupAnswer, GroupMetadata, GroupParticipant, JoinRequest, LinkedGroup,
    ParticipantOutcome, PersonalInvite,
};
use shared::store::sessions::Owner;
use whatsapp::event::QueryError;
use whatsapp::group::news::{GroupChange, GroupNews, LinkNews, MemberNews, Relation, RequestNews};
use whatsapp::group::request::{self, Entry, GroupSetting, Outcome};
use whatsapp::group::{GroupInfo, Member};
use whatsapp::jid::Jid;
use whatsapp::time::Timestamp;

use super::events::query_failure;

/// The answer to a question that WhatsApp has answered.
pub(crate) fn answer(found: request::GroupAnswer) -> Answer {
    use request::GroupAnswer as Found;
    let mut told = GroupAnswer::default();
    match found {
        Found::Done => {
            return Answer::Done {
                queue_id: None,
                reading: None,
            };
        }
        Found::Refused(code) => return failure(&QueryError::Refused { code }),
        Found::Group(info) => told.group = Some(metadata(*info)),
        Found::Groups(groups) => told.groups = Some(groups.into_iter().map(metadata).collect()),
        Found::Created(info, refused) => {
            told.group = Some(metadata(*info));
            told.participants = Some(refused.into_iter().map(outcome).collect());
        }
        Found::Members(outcomes) => told.participants = Some(outcomes.into_iter().map(outcome).collect()),
        Found::Invite(code) => told.code = Some(code),
        Found::Joined(group, entry) => {
            told.joined = Some(group.to_string());
            told.pending = Some(entry == Entry::Asked);
        }
        Found::Applicants(asking) => {
            let asking = asking.into_iter().map(|asks| JoinRequest {
                id: id(&asks.member),
                lid: asks.member.lid().map(Jid::to_string),
                since: asks.since.map(Timestamp::as_secs),
                method: asks.method,
            });
            told.requests = Some(asking.collect());
        }
        Found::Linked(groups) => {
            told.linked = Some(groups.into_iter().map(linked).collect());
        }
    }
    Answer::Group(Box::new(told))
}

/// The answer to a question that WhatsApp gave none to, or refused.
pub(crate) fn failure(error: &QueryError) -> Answer {
    let QueryError::Refused { code } = error else {
        return query_failure(error);
    };
    let why = match code {
        400 => "WhatsApp does not take this group or this request",
        401 => "only an admin of the group may do this",
        403 => "the account is not in the group",
        404 => "there is no such group, or the account is not in it",
        405 => "WhatsApp does not allow this; the account may have been removed from the group",
        406 => "WhatsApp does not take this name or code",
        409 => "it is so already, or somebody else changed it at the same moment",
        410 => "the link was reset",
        419 => "the group is full",
        429 => "WhatsApp has been asked too often; try again later",
        _ => "WhatsApp refused",
    };
    Answer::Failed {
        code: FailureCode::Refused,
        message: format!("{why} ({code})"),
        field: None,
        until: None,
    }
}

/// That the account is not in the group any more, where this says so of it: beside what is told of all who go.
pub(crate) fn gone(news: &GroupNews, owner: &Owner) -> Option<Event> {
    let GroupChange::Members { action, members, .. } = &news.change else {
        return None;
    };
    let cause = match action {
        MemberNews::Leave => GoneCause::Left,
        MemberNews::Remove => GoneCause::Removed,
        _ => return None,
    };
    let is_own = |jid: &Jid| {
        let jid = jid.to_string();
        jid == owner.jid || Some(&jid) == owner.lid.as_ref()
    };
    let is_us = |member: &Member| is_own(&member.jid) || member.other.as_ref().is_some_and(is_own);
    let told = || GroupGone {
        change: header(news),
        cause,
        reason: None,
    };
    let includes_us = members.iter().any(is_us);
    includes_us.then(|| Event::GroupGone(Box::new(told())))
}

fn header(news: &GroupNews) -> GroupChangeHeader {
    GroupChangeHeader {
        id: news.group.to_string(),
        change_id: news.id.clone(),
        author: news.author.as_ref().map(person),
        author_name: news.author_name.clone(),
        addressing: news.addressing.map(|mode| mode.as_str().to_owned()),
        since: news.timestamp.and_then(|at| i64::try_from(at.as_millis()).ok()),
    }
}

/// What has changed in a group, as events tell it.
pub(crate) fn event(news: GroupNews) -> Event {
    let change = header(&news);
    match news.change {
        GroupChange::Joined { group, reason } => {
            let group = metadata(*group);
            Event::GroupJoined(Box::new(GroupJoined {
                change,
                group,
                reason,
            }))
        }
        GroupChange::Members {
            action,
            members,
            reason,
        } => Event::GroupParticipants(Box::new(GroupParticipants {
            change,
            action: participants_action(action),
            participants: members.iter().map(person).collect(),
            reason,
        })),
        GroupChange::Requests {
            action,
            people,
            method,
        } => Event::GroupJoinRequest(Box::new(GroupJoinRequest {
            change,
            action: request_action(action),
            participants: people.iter().map(person).collect(),
            method,
        })),
        GroupChange::Deleted { reason } => Event::GroupGone(Box::new(GroupGone {
            change,
            cause: GoneCause::Deleted,
            reason,
        })),
        GroupChange::Links {
            action,
            relation,
            groups,
            reason,
        } => Event::GroupLink(Box::new(GroupLink {
            change,
            action: link_action(action),
            relation: link_relation(relation),
            groups: groups.into_iter().map(linked).collect(),
            reason,
        })),
        what => Event::GroupUpdate(Box::new(update(change, what))),
    }
}

/// The one thing of a group that is otherwise now.
fn update(change: GroupChangeHeader, what: GroupChange) -> GroupUpdate {
    let mut update = GroupUpdate::new(change);
    match what {
        GroupChange::Setting(setting) => return with_setting(update, setting),
        GroupChange::Subject(subject) => update.subject = Some(subject),
        GroupChange::Description(text) => update.description = Some(text),
        GroupChange::Invite(code) => update.invite_code = Some(code),
        GroupChange::Picture(id) => {
            update.picture = Some(match id {
                Some(_) => PictureChange::Changed,
                None => PictureChange::Removed,
            });
            update.picture_id = id;
        }
        // They have events of their own.
        GroupChange::Joined { .. }
        | GroupChange::Members { .. }
        | GroupChange::Requests { .. }
        | GroupChange::Deleted { .. }
        | GroupChange::Links { .. } => {}
    }
    update
}

fn with_setting(update: GroupUpdate, setting: GroupSetting) -> GroupUpdate {
    let mut update = update;
    match setting {
        GroupSetting::Announce(on) => update.announce = Some(on),
        GroupSetting::Locked(on) => update.restrict = Some(on),
        GroupSetting::Disappearing(seconds) => update.disappearing_seconds = Some(seconds),
        GroupSetting::AllMayAdd(on) => update.all_may_add = Some(on),
        GroupSetting::AsksToJoin(on) => update.asks_to_join = Some(on),
    }
    update
}

const fn participants_action(action: MemberNews) -> ParticipantsAction {
    match action {
        MemberNews::Add => ParticipantsAction::Add,
        MemberNews::Remove => ParticipantsAction::Remove,
        MemberNews::Leave => ParticipantsAction::Leave,
        MemberNews::Promote => ParticipantsAction::Promote,
        MemberNews::Demote => ParticipantsAction::Demote,
        MemberNews::Renumber => ParticipantsAction::Modify,
    }
}

const fn link_action(action: LinkNews) -> LinkAction {
    match action {
        LinkNews::Linked => LinkAction::Linked,
        LinkNews::Unlinked => LinkAction::Unlinked,
    }
}

const fn link_relation(relation: Relation) -> LinkRelation {
    match relation {
        Relation::Group => LinkRelation::Group,
        Relation::Community => LinkRelation::Community,
        Relation::Sibling => LinkRelation::Sibling,
    }
}

fn linked(group: request::LinkedGroup) -> LinkedGroup {
    LinkedGroup {
        id: group.jid.to_string(),
        subject: group.subject,
        is_announcement_group: group.is_announcement_group,
    }
}

const fn request_action(action: RequestNews) -> RequestAction {
    match action {
        RequestNews::Created => RequestAction::Created,
        RequestNews::Revoked => RequestAction::Revoked,
        RequestNews::Rejected => RequestAction::Rejected,
    }
}

fn person(member: &Member) -> GroupPerson {
    GroupPerson {
        id: id(member),
        lid: member.lid().map(Jid::to_string),
        phone_number: member.phone().map(|phone| phone.user().to_owned()),
    }
}

fn metadata(info: GroupInfo) -> GroupMetadata {
    let count = u32::try_from(info.members.len()).unwrap_or(u32::MAX);
    GroupMetadata {
        id: info.jid.to_string(),
        subject: info.subject,
        creation: info.created.map(Timestamp::as_secs),
        owner: info.owner.map(|owner| owner.to_bare().to_string()),
        description: info.description.map(|description| description.text),
        restrict: info.locked,
        announce: info.announce,
        all_may_add: info.all_may_add,
        asks_to_join: info.asks_to_join,
        disappearing_seconds: info.disappearing_seconds,
        community: info.community.map(|community| community.to_string()),
        is_community: info.is_community,
        is_announcement_group: info.is_announcement_group,
        addressing: info.addressing.as_str().to_owned(),
        size: info.size.unwrap_or(count),
        participants: info.members.iter().map(participant).collect(),
    }
}

fn participant(member: &Member) -> GroupParticipant {
    GroupParticipant {
        id: id(member),
        lid: member.lid().map(Jid::to_string),
        admin: member.role.as_str().map(str::to_owned),
    }
}

fn outcome(outcome: Outcome) -> ParticipantOutcome {
    ParticipantOutcome {
        id: id(&outcome.member),
        lid: outcome.member.lid().map(Jid::to_string),
        status: outcome.code,
        invite: outcome.invite.map(|invite| PersonalInvite {
            code: invite.code,
            expires: invite.expires.map(Timestamp::as_secs),
        }),
    }
}

/// Somebody's jid, by number where that is known.
fn id(member: &Member) -> String {
    member.phone().unwrap_or(&member.jid).to_string()
}
