//! Pictures and business profiles: who has one, and where it is.
//!
//! Facts: docs/PROTOCOL.md, "Profiles".

use whatsapp::binary::Node;
use whatsapp::group::Role;
use whatsapp::jid::Jid;

use super::World;
use super::stanza::{error, iq_from_server};
use crate::number::Number;

/// Largest picture that is taken.
const MAX_PICTURE_BYTES: usize = 512 * 1024;
/// The id of every contact's picture.
const CONTACTS_PICTURE: u64 = 1_790_000_000;
/// What a JPEG begins with.
const JPEG: [u8; 3] = [0xff, 0xd8, 0xff];

impl World {
    /// Where the picture is that is asked for.
    pub(super) fn picture(&self, id: &str, iq: &Node) -> Node {
        let asked = iq
            .child("picture")
            .filter(|picture| picture.attr_is("query", "url"));
        let kind = asked.and_then(|asked| asked.attr_str("type"));
        let suffix = match kind.as_deref() {
            Some("preview") => "s",
            Some("image") => "n",
            _ => return error(id, 400, "bad-request"),
        };
        let path = |of: &str, picture: u64| format!("/v/t61.24694-24/{of}_{picture}_{suffix}.jpg");
        let told = |path: String, picture: u64| {
            let kind = kind.clone().unwrap_or_default().into_owned();
            let told = Node::new("picture").attr("id", picture).attr("type", kind);
            let url = format!("https://pps.whatsapp.net{path}");
            let told = told.attr("url", url).attr("direct_path", path);
            iq_from_server("result", id).with_child(told)
        };
        if let Some(group) = iq.attr_jid("target").filter(Jid::is_group) {
            let picture = self.groups.get(group.user()).and_then(|group| group.picture);
            return match picture {
                Some(picture) => told(path(group.user(), picture), picture),
                None => error(id, 404, "item-not-found"),
            };
        }
        let Some((who, _)) = iq.attr_jid("target").and_then(|jid| self.seed.resolve(&jid)) else {
            return error(id, 400, "bad-request");
        };
        let account = self.accounts.get(&who.number);
        if account.is_some_and(|account| {
            account
                .privacy
                .get("profile")
                .is_some_and(|value| value == "none")
        }) {
            return error(id, 401, "not-authorized");
        }
        let picture = match account {
            Some(account) => account.picture,
            None => {
                let has_one = self.exists(who.number) && is_even(who.number);
                has_one.then_some(CONTACTS_PICTURE)
            }
        };
        let Some(picture) = picture else {
            return error(id, 404, "item-not-found");
        };
        told(path(&who.number.to_string(), picture), picture)
    }

    /// A group has another picture, or none, if who says so may.
    fn set_group_picture(&mut self, by: Number, id: &str, iq: &Node, group: &Jid) -> Node {
        let Some(known) = self.groups.get(group.user()) else {
            return error(id, 404, "item-not-found");
        };
        match known.members.get(&by) {
            None => return error(id, 403, "forbidden"),
            Some(Role::Member) if known.locked => return error(id, 401, "not-authorized"),
            Some(_) => {}
        }
        let picture = iq.child("picture");
        if picture.is_some_and(|picture| !is_picture(picture)) {
            return error(id, 406, "not-acceptable");
        }
        let has_one = picture.is_some();
        let next = self.give_picture(group.user(), by, has_one);
        let told = next.map(|next| Node::new("picture").attr("id", next));
        iq_from_server("result", id).with_children(told)
    }

    /// The account has another picture, or none.
    pub(super) fn set_picture(&mut self, number: Number, id: &str, iq: &Node) -> Node {
        if let Some(group) = iq.attr_jid("target").filter(Jid::is_group) {
            return self.set_group_picture(number, id, iq, &group);
        }
        let now = self.clock.unix_seconds();
        let result = iq_from_server("result", id);
        let Some(account) = self.accounts.get_mut(&number) else {
            return error(id, 401, "not-authorized");
        };
        let Some(picture) = iq.child("picture") else {
            account.picture = None;
            return result;
        };
        if !is_picture(picture) {
            return error(id, 406, "not-acceptable");
        }
        let next = account.picture.map_or(now, |before| now.max(before + 1));
        account.picture = Some(next);
        result.with_child(Node::new("picture").attr("id", next))
    }

    /// What the business says about itself that is asked for, if it is one.
    pub(super) fn business(&self, iq: &Node) -> Node {
        let answer = Node::new("business_profile");
        let asked = iq.child_at(&["business_profile", "profile"]);
        let Some(jid) = asked.and_then(|asked| asked.attr_jid("jid")) else {
            return answer;
        };
        let who = self.seed.resolve(&jid).map(|(who, _)| who.number);
        let is_business = |number: &Number| self.exists(*number) && number.to_string().ends_with('7');
        if !who.is_some_and(|number| is_business(&number)) {
            return answer;
        }
        let category = Node::new("category").attr("id", "1").with_slice(b"Bakery");
        let profile = Node::new("profile")
            .attr("jid", jid)
            .with_child(Node::new("description").with_slice(b"Bread and cakes"))
            .with_child(Node::new("website").with_slice(b"https://bakery.example.com"))
            .with_child(Node::new("categories").with_child(category));
        answer.with_child(profile)
    }
}

/// Whether this is a JPEG as clients send it.
fn is_picture(picture: &Node) -> bool {
    let jpeg = picture.bytes().unwrap_or_default();
    jpeg.starts_with(&JPEG) && jpeg.len() <= MAX_PICTURE_BYTES && picture.attr_is("type", "image")
}

fn is_even(number: Number) -> bool {
    number.to_string().ends_with(['0', '2', '4', '6', '8'])
}
