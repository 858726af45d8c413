use super::*;

fn jid(text: &str) -> Jid {
    text.parse().unwrap()
}

const ANN: [&str; 2] = ["100@lid", "15550001@s.whatsapp.net"];
const BOB: [&str; 2] = ["101@lid", "15550002@s.whatsapp.net"];

/// A notification in which Ann does something, by this kind of name.
fn by_ann(mode: AddressingMode, child: Node) -> Node {
    let ([one, other], name) = match mode {
        AddressingMode::Lid => (ANN, "participant_pn"),
        AddressingMode::Phone => ([ANN[1], ANN[0]], "participant_lid"),
    };
    Node::new("notification")
        .attr("from", jid("120363000000000001@g.us"))
        .attr("type", "w:gp2")
        .attr("id", "77")
        .attr("t", 1_790_000_000u64)
        .attr("participant", jid(one))
        .attr(name, jid(other))
        .attr("notify", "Ann")
        .attr("addressing_mode", mode.as_str())
        .with_child(child)
}

fn participant(mode: AddressingMode, [lid, phone]: [&str; 2]) -> Node {
    let node = Node::new("participant");
    match mode {
        AddressingMode::Lid => node.attr("jid", jid(lid)).attr("phone_number", jid(phone)),
        AddressingMode::Phone => node.attr("jid", jid(phone)).attr("lid", jid(lid)),
    }
}

fn one(stanza: &Node) -> GroupNews {
    let mut told = GroupNews::parse(stanza);
    assert_eq!(told.len(), 1, "{told:?}");
    told.remove(0)
}

const MODES: [AddressingMode; 2] = [AddressingMode::Lid, AddressingMode::Phone];

#[test]
fn people_are_told_by_both_names_in_both_addressings() {
    for mode in MODES {
        for (tag, whom, wanted) in [
            ("add", BOB, MemberNews::Add),
            ("remove", BOB, MemberNews::Remove),
            ("remove", ANN, MemberNews::Leave),
            ("promote", BOB, MemberNews::Promote),
            ("demote", BOB, MemberNews::Demote),
            ("modify", BOB, MemberNews::Renumber),
        ] {
            let told = one(&by_ann(mode, Node::new(tag).with_child(participant(mode, whom))));
            let author = told.author.as_ref().unwrap();
            assert_eq!(author.lid(), Some(&jid(ANN[0])), "{mode:?} {tag}");
            assert_eq!(author.phone(), Some(&jid(ANN[1])));
            assert_eq!((told.id.as_str(), told.addressing), ("77", Some(mode)));
            assert_eq!(told.author_name.as_deref(), Some("Ann"));
            let GroupChange::Members { action, members, .. } = told.change else {
                panic!("{told:?}");
            };
            assert_eq!(action, wanted);
            assert_eq!(
                (members[0].lid(), members[0].phone()),
                (Some(&jid(whom[0])), Some(&jid(whom[1])))
            );
        }
    }
}

#[test]
fn what_changes_of_the_group_is_told() {
    let body = Node::new("body").with_slice(b"About us");
    let approval = Node::new("group_join").attr("state", "on");
    for (child, wanted) in [
        (
            Node::new("subject").attr("subject", "Friends").attr("s_t", 5u64),
            GroupChange::Subject("Friends".into()),
        ),
        (
            Node::new("description").attr("id", "1").with_child(body),
            GroupChange::Description(Some("About us".into())),
        ),
        (
            Node::new("description")
                .attr("id", "1")
                .with_child(Node::new("delete")),
            GroupChange::Description(None),
        ),
        (
            Node::new("announcement"),
            GroupChange::Setting(GroupSetting::Announce(true)),
        ),
        (
            Node::new("not_announcement"),
            GroupChange::Setting(GroupSetting::Announce(false)),
        ),
        (
            Node::new("locked"),
            GroupChange::Setting(GroupSetting::Locked(true)),
        ),
        (
            Node::new("ephemeral").attr("expiration", 86_400u64),
            GroupChange::Setting(GroupSetting::Disappearing(86_400)),
        ),
        (
            Node::new("not_ephemeral"),
            GroupChange::Setting(GroupSetting::Disappearing(0)),
        ),
        (
            Node::new("member_add_mode").with_slice(b"all_member_add"),
            GroupChange::Setting(GroupSetting::AllMayAdd(true)),
        ),
        (
            Node::new("membership_approval_mode").with_child(approval),
            GroupChange::Setting(GroupSetting::AsksToJoin(true)),
        ),
        (
            Node::new("invite").attr("code", "AbC"),
            GroupChange::Invite(Some("AbC".into())),
        ),
    ] {
        for mode in MODES {
            assert!(one(&by_ann(mode, child.clone())).change == wanted, "{child:?}");
        }
    }
}

#[test]
fn who_asks_to_be_let_in_is_told() {
    for mode in MODES {
        let requested = |whom| {
            let mut node = Node::new("requested_user");
            node.attrs = participant(mode, whom).attrs.clone();
            node
        };
        let asks = Node::new("created_membership_requests")
            .attr("request_method", "invite_link")
            .with_child(requested(ANN));
        let told = one(&by_ann(mode, asks));
        let GroupChange::Requests {
            action,
            people,
            method,
        } = told.change
        else {
            panic!("{told:?}");
        };
        assert_eq!(
            (action, method.as_deref()),
            (RequestNews::Created, Some("invite_link"))
        );
        assert_eq!(people[0].phone(), Some(&jid(ANN[1])));
        for (whom, wanted) in [(ANN, RequestNews::Revoked), (BOB, RequestNews::Rejected)] {
            let gone = Node::new("revoked_membership_requests").with_child(participant(mode, whom));
            let told = one(&by_ann(mode, gone));
            let GroupChange::Requests { action, .. } = told.change else {
                panic!("{told:?}");
            };
            assert_eq!(action, wanted);
        }
    }
}

#[test]
fn a_group_that_we_come_into_is_told_as_it_is() {
    let mode = AddressingMode::Lid;
    let group = Node::new("group")
        .attr("id", "120363000000000001")
        .attr("subject", "Friends")
        .with_child(participant(mode, ANN).attr("type", "superadmin"));
    let create = Node::new("create").attr("type", "new").attr("reason", "invite");
    let told = one(&by_ann(mode, create.with_child(group)));
    let GroupChange::Joined { group, reason } = told.change else {
        panic!("{told:?}");
    };
    assert_eq!(
        (group.subject.as_str(), reason.as_deref()),
        ("Friends", Some("invite"))
    );
    assert_eq!(group.members[0].role, Role::SuperAdmin);
}

#[test]
fn a_picture_is_told_and_what_is_not_known_is_not() {
    let picture = |child: Node| {
        Node::new("notification")
            .attr("from", jid("120363000000000001@g.us"))
            .attr("type", "picture")
            .attr("id", "78")
            .with_child(child)
    };
    let set = Node::new("set")
        .attr("jid", jid("120363000000000001@g.us"))
        .attr("id", "1790000000")
        .attr("author", jid(ANN[0]));
    let told = one(&picture(set));
    assert!(told.change == GroupChange::Picture(Some("1790000000".into())));
    assert_eq!(told.author.unwrap().jid, jid(ANN[0]));
    let gone = Node::new("delete").attr("author", jid(ANN[0]));
    assert!(one(&picture(gone)).change == GroupChange::Picture(None));
    // A hash alone says nothing that anybody can do something with.
    assert!(GroupNews::parse(&picture(Node::new("set").attr("hash", "x"))).is_empty());
    let unknown = by_ann(AddressingMode::Lid, Node::new("growth_locked"));
    assert!(GroupNews::parse(&unknown).is_empty());
    let several = unknown
        .with_child(Node::new("locked"))
        .with_child(Node::new("announcement"));
    assert_eq!(GroupNews::parse(&several).len(), 2);
    let mut of_person = several;
    of_person.set_attr("from", jid(ANN[0]));
    assert!(GroupNews::parse(&of_person).is_empty());
}

#[test]
fn the_end_of_a_group_and_what_becomes_of_communities_is_told() {
    let mode = AddressingMode::Lid;
    let gone = Node::new("delete").attr("reason", "terms");
    let reason = Some("terms".to_owned());
    assert!(one(&by_ann(mode, gone)).change == GroupChange::Deleted { reason });
    let group = Node::new("group")
        .attr("jid", jid("120363000000000002@g.us"))
        .attr("subject", "News")
        .with_child(Node::new("default_sub_group"));
    let bare = Node::new("group").attr("id", "120363000000000003");
    for (tag, kind, action) in [
        ("link", "link_type", LinkNews::Linked),
        ("unlink", "unlink_type", LinkNews::Unlinked),
    ] {
        for (name, wanted) in [
            ("sub_group", Relation::Group),
            ("parent_group", Relation::Community),
            ("sibling_group", Relation::Sibling),
        ] {
            let child = Node::new(tag).attr(kind, name);
            let told = one(&by_ann(mode, child.with_children([group.clone(), bare.clone()])));
            let GroupChange::Links {
                action: told,
                relation,
                groups,
                ..
            } = told.change
            else {
                panic!("{told:?}");
            };
            assert_eq!((told, relation), (action, wanted));
            let named = |at: usize| (groups[at].jid.user().to_owned(), groups[at].is_announcement_group);
            assert_eq!(named(0), ("120363000000000002".to_owned(), true));
            assert_eq!(named(1), ("120363000000000003".to_owned(), false));
        }
        let unknown = Node::new(tag).attr(kind, "another");
        assert!(GroupNews::parse(&by_ann(mode, unknown)).is_empty());
    }
}
