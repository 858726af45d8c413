//! What is asked of the server about people and the own account beside messages, and what it answers: pictures, abouts,
//! business profiles, the block list, privacy.
//!
//! Facts: docs/PROTOCOL.md, "Profiles".

use std::fmt;

use bytes::Bytes;

use crate::binary::{Node, StanzaError};
use crate::jid::Jid;
use crate::time::Timestamp;

/// Largest picture that is set, in bytes; clients send a JPEG of 640 × 640.
pub const MAX_PICTURE_BYTES: usize = 512 * 1024;

/// One request of the owner.
///
/// [`fmt::Debug`] tells nothing of whom it is about or what it says.
#[derive(Clone, PartialEq, Eq)]
pub enum ProfileRequest {
    /// Where the picture of a person or a group is. Answered by [`ProfileAnswer::Picture`].
    Picture {
        /// Whose.
        of: Jid,
        /// In which size.
        size: PictureSize,
    },
    /// What somebody says about themselves. Answered by [`ProfileAnswer::About`].
    About(Jid),
    /// What a business says about itself. Answered by [`ProfileAnswer::Business`].
    Business(Jid),
    /// Whom the account blocks. Answered by [`ProfileAnswer::Blocked`].
    Blocked,
    /// What the account lets others know. Answered by [`ProfileAnswer::Privacy`].
    Privacy,
    /// Change one such setting. Answered by [`ProfileAnswer::Done`], as is everything that follows.
    SetPrivacy {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// Change what the account says about itself.
    SetAbout(String),
    /// Change a picture.
    SetPicture {
        /// Of which group; `None` for the account's own.
        group: Option<Jid>,
        /// A JPEG; `None` removes the one that is there.
        jpeg: Option<Bytes>,
    },
}

/// The size of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureSize {
    /// As in a list.
    Preview,
    /// As it is.
    Full,
}

impl fmt::Debug for ProfileRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Picture { .. } => "Picture(…)",
            Self::About(_) => "About(…)",
            Self::Business(_) => "Business(…)",
            Self::Blocked => "Blocked",
            Self::Privacy => "Privacy",
            Self::SetPrivacy { .. } => "SetPrivacy(…)",
            Self::SetAbout(_) => "SetAbout(…)",
            Self::SetPicture { .. } => "SetPicture(…)",
        })
    }
}

impl ProfileRequest {
    /// The iq, without its id. `sid` names a user query, once per connection.
    pub(crate) fn to_node(&self, sid: u32) -> Node {
        match self {
            Self::Picture { of, size } => {
                let kind = match size {
                    PictureSize::Preview => "preview",
                    PictureSize::Full => "image",
                };
                let picture = Node::new("picture").attr("type", kind).attr("query", "url");
                iq("get", "w:profile:picture")
                    .attr("target", of)
                    .with_child(picture)
            }
            Self::About(of) => iq("get", "usync").with_child(user_query(of, sid)),
            Self::Business(of) => {
                let profile = Node::new("profile").attr("jid", of);
                let query = Node::new("business_profile").attr("v", "244").with_child(profile);
                iq("get", "w:biz").with_child(query)
            }
            Self::Blocked => iq("get", "blocklist"),
            Self::Privacy => iq("get", "privacy").with_child(Node::new("privacy")),
            Self::SetPrivacy { name, value } => {
                let category = Node::new("category")
                    .attr("name", name.as_str())
                    .attr("value", value.as_str());
                iq("set", "privacy").with_child(Node::new("privacy").with_child(category))
            }
            Self::SetAbout(text) => {
                iq("set", "status").with_child(Node::new("status").with_slice(text.as_bytes()))
            }
            Self::SetPicture { group, jpeg } => {
                let picture = |jpeg: &Bytes| {
                    let picture = Node::new("picture").attr("type", "image");
                    picture.with_bytes(jpeg.clone())
                };
                iq("set", "w:profile:picture")
                    .attr_opt("target", group.as_ref())
                    .with_children(jpeg.as_ref().map(picture))
            }
        }
    }

    /// Reads the answer.
    ///
    /// # Errors
    /// If it is none.
    pub(crate) fn read(&self, reply: &Node) -> Result<ProfileAnswer, StanzaError> {
        Ok(match self {
            Self::Picture { .. } => ProfileAnswer::Picture(reply.child("picture").and_then(Picture::parse)),
            Self::About(_) => ProfileAnswer::About(about(reply)),
            Self::Business(_) => {
                let profile = reply.child_at(&["business_profile", "profile"]);
                ProfileAnswer::Business(profile.map(|profile| Box::new(Business::parse(profile))))
            }
            Self::Blocked => {
                let list = reply.require_child("list")?;
                let blocked = list.nodes_named("item").filter_map(|item| item.attr_jid("jid"));
                ProfileAnswer::Blocked(blocked.collect())
            }
            Self::Privacy => {
                let all = reply.require_child("privacy")?;
                let each = all.nodes_named("category");
                let told = each.filter_map(|one| Some((one.attr_str("name")?, one.attr_str("value")?)));
                ProfileAnswer::Privacy(
                    told.map(|(name, value)| (name.into_owned(), value.into_owned()))
                        .collect(),
                )
            }
            Self::SetPrivacy { .. } | Self::SetAbout(_) | Self::SetPicture { .. } => ProfileAnswer::Done,
        })
    }

    /// What a refusal says: that there is nothing, or nothing that we may see.
    pub(crate) fn read_refusal(&self, code: u16) -> Option<ProfileAnswer> {
        match (self, code) {
            (Self::Picture { .. }, 401 | 404) => Some(ProfileAnswer::Picture(None)),
            _ => None,
        }
    }
}

/// What the server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProfileAnswer {
    /// It is done.
    Done,
    /// Where a picture is; `None` where there is none, or none that we may see.
    Picture(Option<Picture>),
    /// What somebody says about themselves; `None` where that is nothing, or nothing that we may see.
    About(Option<About>),
    /// What a business says about itself; `None` of somebody who is none.
    Business(Option<Box<Business>>),
    /// Whom the account blocks.
    Blocked(Vec<Jid>),
    /// Names and values of what the account lets others know.
    Privacy(Vec<(String, String)>),
}

/// Where a picture is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Its id: another one is another picture.
    pub id: String,
    /// Where it is, for a while.
    pub url: String,
}

impl Picture {
    fn parse(node: &Node) -> Option<Self> {
        Some(Self {
            id: node.attr_str("id")?.into_owned(),
            url: node.attr_str("url")?.into_owned(),
        })
    }
}

/// What somebody says about themselves.
#[derive(Clone, PartialEq, Eq)]
pub struct About {
    /// The text.
    pub text: String,
    /// Since when, in unix seconds.
    pub since: Option<u64>,
}

impl fmt::Debug for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("About(…)")
    }
}

/// What a business says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Business {
    /// Where it is.
    pub address: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// How it is written to.
    pub email: Option<String>,
    /// Where it is on the web.
    pub websites: Vec<String>,
    /// What kinds of business it is.
    pub categories: Vec<String>,
}

impl Business {
    fn parse(profile: &Node) -> Self {
        let text = |node: &Node| node.text().map(std::borrow::Cow::into_owned);
        let one = |tag: &str| profile.child(tag).and_then(text).filter(|text| !text.is_empty());
        let categories = profile.child("categories").into_iter();
        Self {
            address: one("address"),
            description: one("description"),
            email: one("email"),
            websites: profile.nodes_named("website").filter_map(text).collect(),
            categories: categories
                .flat_map(|all| all.nodes_named("category").filter_map(text))
                .collect(),
        }
    }
}

/// Somebody is there, or writes.
#[derive(Clone, PartialEq, Eq)]
pub struct PresenceNews {
    /// In which chat: the person's own, or a group.
    pub chat: Jid,
    /// The chat by its other name, if known.
    pub chat_other: Option<Jid>,
    /// Who.
    pub who: Jid,
    /// The same by their other name, if known.
    pub other: Option<Jid>,
    /// What they do.
    pub state: PresenceState,
    /// When they were there last, where they are not and let others know.
    pub last_seen: Option<Timestamp>,
}

impl fmt::Debug for PresenceNews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PresenceNews({:?})", self.state)
    }
}

/// What somebody does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresenceState {
    /// They are there.
    Available,
    /// They are not.
    Unavailable,
    /// They write a text.
    Composing,
    /// They record a voice note.
    Recording,
}

/// What is told while a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typing {
    /// A text is being written.
    Composing,
    /// A voice note is being recorded.
    Recording,
    /// Not any more.
    Paused,
}

impl Typing {
    /// The stanza that tells it in a chat.
    pub(crate) fn to_node(self, chat: &Jid) -> Node {
        let state = match self {
            Self::Composing => Node::new("composing"),
            Self::Recording => Node::new("composing").attr("media", "audio"),
            Self::Paused => Node::new("paused"),
        };
        Node::new("chatstate").attr("to", chat).with_child(state)
    }
}

fn iq(kind: &'static str, xmlns: &'static str) -> Node {
    Node::new("iq")
        .attr("to", Jid::SERVER)
        .attr("type", kind)
        .attr("xmlns", xmlns)
}

fn user_query(of: &Jid, sid: u32) -> Node {
    Node::new("usync")
        .attr("sid", format!("p{sid}"))
        .attr("mode", "query")
        .attr("context", "interactive")
        .attr("last", "true")
        .attr("index", "0")
        .with_child(Node::new("query").with_child(Node::new("status")))
        .with_child(Node::new("list").with_child(Node::new("user").attr("jid", of)))
}

fn about(reply: &Node) -> Option<About> {
    let user = reply.child_at(&["usync", "list", "user"])?;
    let status = user.child("status")?;
    let text = status.text().filter(|text| !text.is_empty())?;
    Some(About {
        text: text.into_owned(),
        since: status.attr_u64("t"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> Jid {
        "15550001@s.whatsapp.net".parse().unwrap()
    }

    fn result(child: Node) -> Node {
        Node::new("iq").attr("type", "result").with_child(child)
    }

    #[test]
    fn a_picture_is_asked_for_by_size_and_may_not_be_there() {
        let request = ProfileRequest::Picture {
            of: ann(),
            size: PictureSize::Full,
        };
        let node = request.to_node(1);
        assert!(node.attr_is("xmlns", "w:profile:picture") && node.attr_jid("target") == Some(ann()));
        assert!(node.child("picture").unwrap().attr_is("type", "image"));
        let told = Node::new("picture")
            .attr("id", "7")
            .attr("url", "https://p/7.jpg");
        let picture = Picture {
            id: "7".to_owned(),
            url: "https://p/7.jpg".to_owned(),
        };
        assert_eq!(
            request.read(&result(told)).unwrap(),
            ProfileAnswer::Picture(Some(picture))
        );
        let empty = Node::new("iq").attr("type", "result");
        assert_eq!(request.read(&empty).unwrap(), ProfileAnswer::Picture(None));
        assert_eq!(request.read_refusal(404), Some(ProfileAnswer::Picture(None)));
        assert_eq!(request.read_refusal(500), None);
        assert_eq!(ProfileRequest::Privacy.read_refusal(404), None);
    }

    #[test]
    fn what_people_and_businesses_say_is_read() {
        let status = Node::new("status").attr("t", 5u32).with_slice(b"Busy");
        let user = Node::new("user").attr("jid", ann()).with_child(status);
        let reply = result(Node::new("usync").with_child(Node::new("list").with_child(user)));
        let about = About {
            text: "Busy".to_owned(),
            since: Some(5),
        };
        let asked = ProfileRequest::About(ann());
        assert_eq!(asked.read(&reply).unwrap(), ProfileAnswer::About(Some(about)));
        let category = Node::new("category").attr("id", "1").with_slice(b"Bakery");
        let profile = Node::new("profile")
            .attr("jid", ann())
            .with_child(Node::new("description").with_slice(b"Bread"))
            .with_child(Node::new("website").with_slice(b"https://b"))
            .with_child(Node::new("categories").with_child(category));
        let reply = result(Node::new("business_profile").with_child(profile));
        let business = Business {
            description: Some("Bread".to_owned()),
            websites: vec!["https://b".to_owned()],
            categories: vec!["Bakery".to_owned()],
            ..Business::default()
        };
        let asked = ProfileRequest::Business(ann());
        assert_eq!(
            asked.read(&reply).unwrap(),
            ProfileAnswer::Business(Some(Box::new(business)))
        );
        let none = result(Node::new("business_profile"));
        assert_eq!(asked.read(&none).unwrap(), ProfileAnswer::Business(None));
    }

    #[test]
    fn the_own_account_is_changed_and_typing_is_told() {
        let picture = |group: Option<&str>, jpeg: Option<Bytes>| {
            let group = group.map(|group| group.parse().unwrap());
            ProfileRequest::SetPicture { group, jpeg }.to_node(1)
        };
        let removed = picture(None, None);
        assert!(removed.attr_is("type", "set") && removed.nodes().is_empty());
        assert!(removed.value("target").is_none());
        let set = picture(Some("1-2@g.us"), Some(Bytes::from_static(b"jpeg")));
        assert_eq!(set.attr_jid("target"), "1-2@g.us".parse().ok());
        assert_eq!(set.child("picture").unwrap().bytes().unwrap(), "jpeg");
        let about = ProfileRequest::SetAbout("Hi".to_owned()).to_node(1);
        assert_eq!(about.child("status").unwrap().text().unwrap(), "Hi");
        let recording = Typing::Recording.to_node(&ann());
        assert!(recording.child("composing").unwrap().attr_is("media", "audio"));
        assert!(Typing::Paused.to_node(&ann()).child("paused").is_some());
    }
}
