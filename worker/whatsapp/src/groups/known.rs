//! The groups in memory: read from the store on need, asked of the server where the store has nothing that counts.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::audience::Audience;
use super::question::{Question, Questions};
use super::record::{Handed, Members};
use crate::binary::Node;
use crate::event::{QueryError, SendError};
use crate::group::GroupInfo;
use crate::group::request::GroupRequest;
use crate::jid::Jid;
use crate::part::{Answer, Cache, Context};
use crate::store::RecordKey;

/// Most groups kept in memory beyond those that somebody waits with; others are read again.
pub const MAX_KNOWN_GROUPS: usize = 16;

/// What is known of groups.
pub(super) struct KnownGroups {
    records: Cache<Jid, Known>,
    /// Whose members the server is being asked for.
    asked: BTreeSet<Jid>,
    /// Whose members changed while they were read from the store.
    changed: BTreeSet<Jid>,
}

/// What is known of one group.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Who is in it.
    pub(super) members: Option<Members>,
    /// Which devices have our sender key; `None` if nobody knows.
    pub(super) handed: Option<Handed>,
    /// The devices of all members, as a message found them.
    pub(super) audience: Option<Arc<Audience>>,
    /// All of these have our sender key, and nobody else.
    pub(super) is_settled: bool,
}

impl Default for KnownGroups {
    fn default() -> Self {
        Self {
            records: Cache::with_most(MAX_KNOWN_GROUPS),
            asked: BTreeSet::new(),
            changed: BTreeSet::new(),
        }
    }
}

impl KnownGroups {
    /// Whether it is known who is in this group and who has its key. Asks the store if not, and the server where that
    /// does not say who is in it; call again when either has answered.
    pub(super) fn ensure(&mut self, cx: &mut Context<'_>, questions: &mut Questions, group: &Jid) -> bool {
        match self.records.touch(group, cx.now) {
            None => {
                self.records.begin(group.clone(), cx.now);
                let ticket = questions.open(Question::Stored(group.clone()));
                cx.load(vec![RecordKey::group(group), RecordKey::handed(group)], ticket);
                false
            }
            Some(false) => false,
            Some(true) => {
                let members = self.records.get(group).and_then(|known| known.members.as_ref());
                let counts = members.is_some_and(|members| members.counts(cx.now));
                if !counts && self.asked.insert(group.clone()) {
                    let request = GroupRequest::Describe(group.clone()).to_node();
                    cx.ask(request, questions.open(Question::Members(group.clone())));
                }
                counts
            }
        }
    }

    pub(super) fn on_loaded(&mut self, group: &Jid, values: Vec<Option<Bytes>>) {
        let mut values = values.into_iter();
        let members = values.next().flatten();
        let handed = values.next().flatten();
        let is_old = self.changed.remove(group);
        let members = members.filter(|_| !is_old);
        let known = Known {
            members: members.and_then(|bytes| Members::decode(&bytes)),
            handed: handed.and_then(|bytes| Handed::decode(&bytes)),
            ..Known::default()
        };
        self.records.fill(group, known);
    }

    /// The server has said who is in the group, or why it does not.
    ///
    /// # Errors
    /// What to tell those who wanted to send there.
    pub(super) fn on_members(
        &mut self,
        cx: &mut Context<'_>,
        group: &Jid,
        answer: Answer,
    ) -> Result<(), SendError> {
        self.asked.remove(group);
        let info = answer.map_err(why_not).and_then(|reply| {
            let info = reply.require_child("group").and_then(GroupInfo::parse);
            info.map_err(|_| SendError::Query(QueryError::Malformed))
        })?;
        let members = Members::of(&info, cx.now);
        cx.changes().put(RecordKey::group(group), members.encode().into());
        if let Some(known) = self.records.get_mut(group) {
            known.members = Some(members);
            known.audience = None;
            known.is_settled = false;
            self.records.changed(group, cx.now);
        }
        Ok(())
    }

    /// Who is in the group has changed: the server is asked when it is needed next.
    pub(super) fn forget_members(&mut self, cx: &mut Context<'_>, group: &Jid) {
        cx.changes().delete(RecordKey::group(group));
        if let Some(known) = self.records.get_mut(group) {
            known.members = None;
            known.audience = None;
            known.is_settled = false;
            self.records.changed(group, cx.now);
        } else if self.records.contains(group) {
            self.changed.insert(group.clone());
        }
    }

    /// What is known of a group, if it is in memory.
    pub(super) fn get(&self, group: &Jid) -> Option<&Known> {
        self.records.get(group)
    }

    /// Changes who has the key of a group in memory; kept with this step if `change` says that it is news.
    pub(super) fn change_handed(
        &mut self,
        cx: &mut Context<'_>,
        group: &Jid,
        change: impl FnOnce(&mut Option<Handed>) -> bool,
    ) {
        let Some(known) = self.records.get_mut(group) else {
            return;
        };
        if !change(&mut known.handed) {
            return;
        }
        known.is_settled = false;
        match &known.handed {
            Some(handed) => cx.changes().put(RecordKey::handed(group), handed.encode().into()),
            None => cx.changes().delete(RecordKey::handed(group)),
        }
        self.records.changed(group, cx.now);
    }

    /// A message has found these devices. Another audience has to be looked at anew.
    pub(super) fn set_audience(&mut self, group: &Jid, audience: Arc<Audience>) {
        if let Some(known) = self.records.get_mut(group) {
            known.audience = Some(audience);
            known.is_settled = false;
        }
    }

    /// A message has found that nobody lacks the key.
    pub(super) fn settle(&mut self, group: &Jid) {
        if let Some(known) = self.records.get_mut(group) {
            known.is_settled = true;
        }
    }

    /// Keeps a group in memory until [`Self::unpin`].
    pub(super) fn pin(&mut self, group: &Jid) {
        self.records.pin(group);
    }

    pub(super) fn unpin(&mut self, group: &Jid) {
        self.records.unpin(group);
    }
}

/// Time and durability.
impl KnownGroups {
    pub(super) fn on_step_taken(&mut self) {
        self.records.on_step_taken();
    }

    pub(super) fn on_committed(&mut self) {
        self.records.on_committed();
    }

    /// Forgets what is too much, but no group that somebody waits with.
    pub(super) fn relieve(&mut self, is_in_use: impl Fn(&Jid) -> bool) {
        self.records.shrink(is_in_use);
    }

    pub(super) fn sweep(&mut self, cx: &Context<'_>, is_in_use: impl Fn(&Jid) -> bool) {
        self.records.sweep(cx.now, is_in_use);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

/// What a refused question about a group means for a message to it: that we are not in it, or that there is none, will not
/// change by asking again.
fn why_not(error: QueryError) -> SendError {
    match error {
        QueryError::Refused { code } if NO_MEMBER.contains(&code) => SendError::MayNotWrite,
        QueryError::Refused { code } if FINAL.contains(&code) => SendError::Nack { code },
        error => SendError::Query(error),
    }
}

/// There is no such group, or we are not in it.
const NO_MEMBER: [u16; 2] = [403, 404];
const FINAL: [u16; 4] = [400, 401, 406, 410];

/// Whether a notification of a group says that its members have changed.
pub(super) fn changes_members(stanza: &Node) -> bool {
    const CHANGES: [&str; 8] = [
        "create",
        "add",
        "remove",
        "promote",
        "demote",
        "modify",
        "delete",
        "change_number",
    ];
    let mut children = stanza.nodes().iter();
    children.any(|child| CHANGES.contains(&child.tag()))
}
