//! [`Node`]: one element of a stanza, how to make one and how to ask it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use compact_str::CompactString;
use smallvec::SmallVec;
use thiserror::Error;

use super::value::{Name, Value};
use crate::jid::Jid;

/// An element of a stanza: `<tag key="value">content</tag>`.
///
/// Made with `Node::new("iq").attr("id", id).attr("to", Jid::SERVER).with_child(Node::new("ping"))`. Its
/// [`fmt::Debug`] form holds neither contents nor whole addresses and may be logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Node {
    /// Name of the element.
    pub tag: Name,
    /// Attributes in wire order, which means nothing.
    pub attrs: Attrs,
    /// What is between the tags.
    pub content: Content,
}

/// Content of a node.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Content {
    /// Nothing.
    #[default]
    None,
    /// Child nodes. An empty list is written, and means the same as nothing.
    Nodes(Vec<Node>),
    /// Bytes; after decoding a part of the received frame, without a copy.
    Bytes(Bytes),
    /// A short text that was or will be written as token, packed digits or address. The same logical field
    /// may come as bytes from one client and in this form from another, so read both with [`Node::data`] or
    /// [`Node::text`]. A text that fits none of the short forms is written as bytes and comes back as
    /// [`Content::Bytes`].
    Text(Value),
}

/// A stanza lacks something or holds something else than it should. Names, never contents.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StanzaError {
    /// No attribute of this name.
    #[error("<{tag}> has no attribute {attr}")]
    MissingAttr {
        /// Name of the node.
        tag: CompactString,
        /// Name of the attribute.
        attr: &'static str,
    },
    /// The attribute is no address or number.
    #[error("attribute {attr} of <{tag}> is not valid")]
    BadAttr {
        /// Name of the node.
        tag: CompactString,
        /// Name of the attribute.
        attr: &'static str,
    },
    /// No child of this name.
    #[error("<{tag}> has no child <{child}>")]
    MissingChild {
        /// Name of the node.
        tag: CompactString,
        /// Name of the child.
        child: &'static str,
    },
    /// Bytes or text expected.
    #[error("<{tag}> has no content")]
    MissingContent {
        /// Name of the node.
        tag: CompactString,
    },
    /// Bytes of another length, or a text that is not valid.
    #[error("content of <{tag}> is not valid")]
    BadContent {
        /// Name of the node.
        tag: CompactString,
    },
}

/// Making.
impl Node {
    /// An empty element.
    #[inline]
    pub fn new(tag: impl Into<Name>) -> Self {
        Self {
            tag: tag.into(),
            attrs: Attrs::default(),
            content: Content::None,
        }
    }

    /// A node to be filled in.
    #[inline]
    pub(super) fn blank() -> Self {
        Self {
            tag: Name::EMPTY,
            attrs: Attrs(SmallVec::new()),
            content: Content::None,
        }
    }

    /// Adds an attribute. Does not look for one of the same name.
    #[must_use]
    #[inline]
    pub fn attr(mut self, key: impl Into<Name>, value: impl Into<Value>) -> Self {
        self.attrs.push(key.into(), value.into());
        self
    }

    /// Adds an attribute if there is a value.
    #[must_use]
    #[inline]
    pub fn attr_opt(self, key: impl Into<Name>, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.attr(key, value),
            None => self,
        }
    }

    /// Adds a child after those that are there; replaces a content that is not nodes.
    #[must_use]
    #[inline]
    pub fn with_child(mut self, child: Self) -> Self {
        self.push_child(child);
        self
    }

    /// Adds children after those that are there; replaces a content that is not nodes.
    #[must_use]
    pub fn with_children(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        match &mut self.content {
            Content::Nodes(nodes) => nodes.extend(children),
            other => *other = Content::Nodes(children.into_iter().collect()),
        }
        self
    }

    /// Sets bytes as the content.
    #[must_use]
    #[inline]
    pub fn with_bytes(mut self, bytes: impl Into<Bytes>) -> Self {
        self.content = Content::Bytes(bytes.into());
        self
    }

    /// Sets a copy of bytes as the content.
    #[must_use]
    pub fn with_slice(self, bytes: &[u8]) -> Self {
        self.with_bytes(Bytes::copy_from_slice(bytes))
    }

    /// Sets a content in string form ([`Content::Text`]).
    #[must_use]
    pub fn with_text(mut self, text: impl Into<Value>) -> Self {
        self.content = Content::Text(text.into());
        self
    }

    /// Adds a child in place, see [`Node::with_child`].
    pub fn push_child(&mut self, child: Self) {
        match &mut self.content {
            Content::Nodes(nodes) => nodes.push(child),
            other => *other = Content::Nodes(vec![child]),
        }
    }

    /// Sets an attribute in place, replacing one of the same name.
    pub fn set_attr(&mut self, key: impl Into<Name>, value: impl Into<Value>) {
        self.attrs.set(key.into(), value.into());
    }
}

/// Asking.
impl Node {
    /// Name of the element.
    #[inline]
    pub fn tag(&self) -> &str {
        self.tag.as_str()
    }

    /// Whether the element has this name.
    #[inline]
    pub fn is(&self, tag: &str) -> bool {
        self.tag == *tag
    }

    /// An attribute's value.
    #[inline]
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.attrs.get(key)
    }

    /// An attribute as text (an address in its text form).
    #[inline]
    pub fn attr_str(&self, key: &str) -> Option<Cow<'_, str>> {
        self.value(key).map(Value::as_str)
    }

    /// An attribute as address; also if it came as text.
    #[inline]
    pub fn attr_jid(&self, key: &str) -> Option<Jid> {
        self.value(key).and_then(Value::to_jid)
    }

    /// An attribute as number.
    #[inline]
    pub fn attr_u64(&self, key: &str) -> Option<u64> {
        self.attr_number(key)
    }

    /// An attribute as number of the kind wanted; `None` too if it is larger.
    #[inline]
    pub(crate) fn attr_number<N: FromStr>(&self, key: &str) -> Option<N> {
        self.value(key)?.as_str().parse().ok()
    }

    /// Whether an attribute is this text.
    #[inline]
    pub fn attr_is(&self, key: &str, text: &str) -> bool {
        self.value(key).is_some_and(|value| value.is(text))
    }

    /// An attribute as text.
    ///
    /// # Errors
    /// If it is missing.
    pub fn require_str(&self, key: &'static str) -> Result<Cow<'_, str>, StanzaError> {
        self.attr_str(key).ok_or_else(|| self.missing_attr(key))
    }

    /// An attribute as address.
    ///
    /// # Errors
    /// If it is missing or no address.
    pub fn require_jid(&self, key: &'static str) -> Result<Jid, StanzaError> {
        let value = self.value(key).ok_or_else(|| self.missing_attr(key))?;
        value.to_jid().ok_or_else(|| self.bad_attr(key))
    }

    /// An attribute as number.
    ///
    /// # Errors
    /// If it is missing or no number.
    pub fn require_u64(&self, key: &'static str) -> Result<u64, StanzaError> {
        let value = self.value(key).ok_or_else(|| self.missing_attr(key))?;
        value.as_str().parse().map_err(|_| self.bad_attr(key))
    }

    /// Children; none if the content is something else.
    #[inline]
    pub fn nodes(&self) -> &[Self] {
        match &self.content {
            Content::Nodes(nodes) => nodes,
            _ => &[],
        }
    }

    /// The first child of this name.
    #[inline]
    pub fn child(&self, tag: &str) -> Option<&Self> {
        self.nodes().iter().find(|node| node.is(tag))
    }

    /// The first child of this name.
    ///
    /// # Errors
    /// If there is none.
    pub fn require_child(&self, tag: &'static str) -> Result<&Self, StanzaError> {
        self.child(tag).ok_or_else(|| StanzaError::MissingChild {
            tag: self.tag().into(),
            child: tag,
        })
    }

    /// The node at a path of names below this one.
    pub fn child_at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, tag| node.child(tag))
    }

    /// Children of this name.
    pub fn nodes_named<'a>(&'a self, tag: &'a str) -> impl Iterator<Item = &'a Self> + 'a {
        self.nodes().iter().filter(move |node| node.is(tag))
    }

    /// The content as bytes, whichever form it came in; `None` if there is none or it is nodes.
    pub fn data(&self) -> Option<Cow<'_, [u8]>> {
        match &self.content {
            Content::Bytes(bytes) => Some(Cow::Borrowed(bytes)),
            Content::Text(text) => Some(match text.as_str() {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            }),
            Content::None | Content::Nodes(_) => None,
        }
    }

    /// The content as shared bytes: a part of the received frame if it came as bytes.
    pub fn bytes(&self) -> Option<Bytes> {
        match &self.content {
            Content::Bytes(bytes) => Some(bytes.clone()),
            _ => self.data().map(|data| Bytes::from(data.into_owned())),
        }
    }

    /// The content as text; `None` if there is none or it is not UTF-8.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        match &self.content {
            Content::Bytes(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Content::Text(text) => Some(text.as_str()),
            Content::None | Content::Nodes(_) => None,
        }
    }

    /// The content as bytes.
    ///
    /// # Errors
    /// If there is none.
    pub fn require_data(&self) -> Result<Cow<'_, [u8]>, StanzaError> {
        self.data().ok_or_else(|| StanzaError::MissingContent {
            tag: self.tag().into(),
        })
    }

    /// The content as bytes of a fixed length, such as a key.
    ///
    /// # Errors
    /// If there is none or it has another length.
    pub fn require_array<const N: usize>(&self) -> Result<[u8; N], StanzaError> {
        let data = self.require_data()?;
        data.as_ref().try_into().map_err(|_| StanzaError::BadContent {
            tag: self.tag().into(),
        })
    }

    fn missing_attr(&self, attr: &'static str) -> StanzaError {
        StanzaError::MissingAttr {
            tag: self.tag().into(),
            attr,
        }
    }

    fn bad_attr(&self, attr: &'static str) -> StanzaError {
        StanzaError::BadAttr {
            tag: self.tag().into(),
            attr,
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}{:?}", self.tag, self.attrs)?;
        match &self.content {
            Content::None => f.write_str("/>"),
            content => write!(f, ">{content:?}</>"),
        }
    }
}

/// Lengths of bytes and texts only.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Bytes(bytes) => write!(f, "[{} bytes]", bytes.len()),
            Self::Text(text) => text.fmt(f),
            Self::Nodes(nodes) => nodes.iter().try_for_each(|node| node.fmt(f)),
        }
    }
}

impl fmt::Debug for Attrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|(key, value)| {
            // Stanza ids are random, and what a reader of a log looks for.
            if *key == *"id" {
                write!(f, " id={:?}", value.as_str())
            } else {
                write!(f, " {key}={value:?}")
            }
        })
    }
}

/// Attributes of a node, in wire order. Few, so that looking through them is quicker than hashing.
#[derive(Clone, Default)]
pub struct Attrs(SmallVec<[(Name, Value); INLINE_ATTRS]>);

/// Attributes that a node holds without an allocation: more would make every node larger and speed nothing up
/// (measured with 1 to 4).
const INLINE_ATTRS: usize = 2;

impl Attrs {
    /// The value of the first attribute of this name.
    #[inline]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(name, _)| *name == *key)
            .map(|(_, value)| value)
    }

    /// Adds an attribute without looking for one of the same name.
    #[inline]
    pub fn push(&mut self, key: Name, value: Value) {
        self.0.push((key, value));
    }

    /// Begins anew with so many attributes to be filled in.
    #[inline]
    pub(super) fn blanks(&mut self, count: usize) -> &mut [(Name, Value)] {
        if count <= INLINE_ATTRS {
            // What is behind `count` is never dropped; it holds no memory.
            self.0 = SmallVec::from_buf_and_len([const { (Name::EMPTY, Value::BLANK) }; INLINE_ATTRS], count);
        } else {
            self.0.clear();
            self.0.reserve_exact(count);
            self.0.resize_with(count, || (Name::EMPTY, Value::BLANK));
        }
        &mut self.0
    }

    /// Sets an attribute, replacing one of the same name.
    pub fn set(&mut self, key: Name, value: Value) {
        match self.0.iter_mut().find(|(name, _)| *name == key) {
            Some((_, old)) => *old = value,
            None => self.push(key, value),
        }
    }

    /// Takes the first attribute of this name out.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.0.iter().position(|(name, _)| *name == *key)?;
        Some(self.0.remove(at).1)
    }

    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, in wire order.
    #[inline]
    pub fn iter(&self) -> std::slice::Iter<'_, (Name, Value)> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Attrs {
    type Item = &'a (Name, Value);
    type IntoIter = std::slice::Iter<'a, (Name, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The order of attributes means nothing, so it does not count.
impl PartialEq for Attrs {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self
                .iter()
                .all(|(key, value)| other.get(key.as_str()) == Some(value))
    }
}

impl Eq for Attrs {}
