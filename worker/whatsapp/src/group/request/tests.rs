use super::super::{AddressingMode, Role};
use super::*;

fn jid(text: &str) -> Jid {
    text.parse().unwrap()
}

fn group() -> Jid {
    jid("120363000000000001@g.us")
}

fn ann() -> Jid {
    jid("15550001@s.whatsapp.net")
}

fn result(child: Node) -> Node {
    Node::new("iq").attr("type", "result").with_child(child)
}

#[test]
fn questions_go_to_the_group_or_to_all_of_them() {
    for (request, to, kind, child) in [
        (GroupRequest::Describe(group()), group(), "get", "query"),
        (GroupRequest::List, Jid::GROUPS, "get", "participating"),
        (
            GroupRequest::SetSubject(group(), "x".into()),
            group(),
            "set",
            "subject",
        ),
        (GroupRequest::Invite(group()), group(), "get", "invite"),
        (GroupRequest::RevokeInvite(group()), group(), "set", "invite"),
        (GroupRequest::Join("c".into()), Jid::GROUPS, "set", "invite"),
        (
            GroupRequest::DescribeInvite("c".into()),
            Jid::GROUPS,
            "get",
            "invite",
        ),
        (GroupRequest::Leave(group()), Jid::GROUPS, "set", "leave"),
        (
            GroupRequest::Applicants(group()),
            group(),
            "get",
            "membership_approval_requests",
        ),
        (
            GroupRequest::Decide(group(), Verdict::Approve, vec![ann()]),
            group(),
            "set",
            "membership_requests_action",
        ),
        (
            GroupRequest::ChangeMembers(group(), MemberChange::Promote, vec![ann()]),
            group(),
            "set",
            "promote",
        ),
    ] {
        let node = request.to_node();
        assert!(
            node.attr_is("xmlns", "w:g2") && node.attr_is("type", kind),
            "{request:?}"
        );
        assert_eq!(
            (node.attr_jid("to"), node.nodes()[0].tag()),
            (Some(to), child),
            "{request:?}"
        );
    }
}

#[test]
fn a_text_about_the_group_names_the_one_before() {
    let change = |text: Option<(String, String)>| {
        let request = GroupRequest::SetDescription {
            group: group(),
            text,
            before: Some("OLD".into()),
        };
        request.to_node().child("description").unwrap().clone()
    };
    let set = change(Some(("about".into(), "NEW".into())));
    assert!(set.attr_is("id", "NEW") && set.attr_is("prev", "OLD"));
    assert_eq!(set.child("body").unwrap().text().unwrap(), "about");
    let removed = change(None);
    assert!(removed.attr_is("delete", "true") && removed.child("body").is_none());
}

#[test]
fn settings_are_read_as_they_are_written() {
    for setting in [
        GroupSetting::Announce(true),
        GroupSetting::Announce(false),
        GroupSetting::Locked(true),
        GroupSetting::Locked(false),
        GroupSetting::Disappearing(0),
        GroupSetting::Disappearing(86_400),
        GroupSetting::AllMayAdd(true),
        GroupSetting::AllMayAdd(false),
        GroupSetting::AsksToJoin(true),
        GroupSetting::AsksToJoin(false),
    ] {
        assert_eq!(GroupSetting::parse(&setting.to_node()), Some(setting));
    }
    assert_eq!(GroupSetting::parse(&Node::new("subject")), None);
}

#[test]
fn each_person_s_outcome_is_told_with_the_invitation_that_takes_its_place() {
    let outcome = |code, invite| Outcome {
        member: Member {
            jid: ann(),
            other: None,
            role: Role::Member,
        },
        code,
        invite,
    };
    let invite = PersonalInvite {
        code: "abc".into(),
        expires: Some(Timestamp::from_secs(9)),
    };
    let outcomes = vec![outcome(200, None), outcome(403, Some(invite)), outcome(409, None)];
    let nodes = outcomes.iter().map(Outcome::to_node);
    let reply = result(Node::new("add").with_children(nodes));
    let request = GroupRequest::ChangeMembers(group(), MemberChange::Add, vec![ann()]);
    assert_eq!(request.read(&reply).unwrap(), GroupAnswer::Members(outcomes));
    assert!(request.read(&Node::new("iq")).is_err());
}

#[test]
fn a_code_leads_in_or_to_the_admins() {
    let join = GroupRequest::Join("c".into());
    for (tag, entry) in [
        ("group", Entry::In),
        ("membership_approval_request", Entry::Asked),
    ] {
        let reply = result(Node::new(tag).attr("jid", group()));
        assert_eq!(join.read(&reply).unwrap(), GroupAnswer::Joined(group(), entry));
    }
    let code = GroupRequest::Invite(group()).read(&result(Node::new("invite").attr("code", "c")));
    assert_eq!(code.unwrap(), GroupAnswer::Invite("c".into()));
}

#[test]
fn leaving_may_be_refused() {
    let leave = GroupRequest::Leave(group());
    assert_eq!(leave.read(&Node::new("iq")).unwrap(), GroupAnswer::Done);
    let refused = Node::new("group").attr("id", group()).attr("error", "404");
    let reply = result(Node::new("leave").with_child(refused));
    assert_eq!(leave.read(&reply).unwrap(), GroupAnswer::Refused(404));
}

#[test]
fn a_new_group_says_who_is_not_in_it() {
    let info = GroupInfo {
        addressing: AddressingMode::Phone,
        ..GroupInfo::parse(&Node::new("group").attr("id", "1-2")).unwrap()
    };
    let out = Node::new("participant").attr("jid", ann()).attr("error", "403");
    let reply = result(info.to_node().with_child(out));
    let request = GroupRequest::Create {
        subject: "x".into(),
        members: vec![ann()],
    };
    let GroupAnswer::Created(made, refused) = request.read(&reply).unwrap() else {
        panic!("it was made");
    };
    assert_eq!((made.jid.user(), made.members.len()), ("1-2", 0));
    assert_eq!((refused.len(), refused[0].code), (1, 403));
}

#[test]
fn who_asks_to_be_let_in_is_listed() {
    let asks = Node::new("membership_approval_request")
        .attr("jid", ann())
        .attr("request_method", "invite_link")
        .attr("request_time", 7u64);
    let reply = result(Node::new("membership_approval_requests").with_child(asks));
    let GroupAnswer::Applicants(asking) = GroupRequest::Applicants(group()).read(&reply).unwrap() else {
        panic!("a list");
    };
    assert_eq!(asking[0].since, Some(Timestamp::from_secs(7)));
    assert_eq!(
        (asking[0].member.jid.clone(), asking[0].method.as_deref()),
        (ann(), Some("invite_link"))
    );
}
