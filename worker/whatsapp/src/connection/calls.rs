//! Calls: that somebody calls, how it went on, and rejecting them. They are taken by other devices of the account alone.
//!
//! Facts: docs/PROTOCOL.md, "Calls".

use std::collections::VecDeque;

use crate::binary::Node;
use crate::e2e::Directory;
use crate::event::{CallNews, CallStage, Event, QueryError};
use crate::jid::Jid;
use crate::message_id::MessageId;
use crate::part::Context;
use crate::time::Timestamp;

/// How many calls are remembered at a time; of one that is forgotten, what is told later lacks what only its beginning says.
const MAX_CALLS: usize = 64;
/// Longest id of a call that is taken.
const MAX_ID_BYTES: usize = 128;
/// There is no such call.
const UNKNOWN: u16 = 404;

/// The calls of one connection that have not ended, oldest first.
#[derive(Default)]
pub(crate) struct Calls {
    open: VecDeque<Open>,
}

struct Open {
    /// The call as it began.
    news: CallNews,
    /// The device that calls, as the server names it.
    creator: Jid,
    /// Whom the server names as the sender.
    peer: Jid,
    /// Somebody took it.
    is_taken: bool,
}

impl Calls {
    /// Something became of a call.
    pub(crate) fn on_stanza(&mut self, cx: &mut Context<'_>, directory: &mut Directory, stanza: &Node) {
        let Some(news) = self.news(cx, directory, stanza) else {
            return;
        };
        let at = self.open.iter().position(|open| open.news.id == news.id);
        let is_over = stanza.child("terminate").is_some() || news.stage == CallStage::Reject;
        match (news.stage, at) {
            (CallStage::Offer, None) => self.remember(stanza, &news),
            (_, Some(at)) if is_over => drop(self.open.remove(at)),
            (CallStage::Accept, Some(at)) => self.open[at].is_taken = true,
            _ => {}
        }
        cx.emit(Event::Call(Box::new(news)));
    }

    /// Rejects a call that rings. Answered by `CallRejected`.
    pub(crate) fn reject(&mut self, cx: &mut Context<'_>, ticket: u64, id: &str) {
        let at = self.open.iter().position(|open| open.news.id == id);
        let Some(open) = at.and_then(|at| self.open.remove(at)) else {
            let result = Err(QueryError::Refused { code: UNKNOWN });
            return cx.emit(Event::CallRejected { ticket, result });
        };
        let reject = Node::new("reject")
            .attr("call-id", id.to_owned())
            .attr("call-creator", &open.creator)
            .attr("count", "0");
        let own = cx.device.jid().cloned();
        let user = own.as_ref().map(Jid::user).unwrap_or_default();
        let stanza = MessageId::generate(cx.now.as_secs(), user, cx.rng);
        let call = Node::new("call")
            .attr("id", stanza.as_str())
            .attr_opt("from", own.as_ref())
            .attr("to", &open.peer);
        cx.send(call.with_child(reject));
        let told = CallNews {
            stage: CallStage::Reject,
            offline: false,
            timestamp: Some(cx.now),
            ..open.news
        };
        cx.emit(Event::Call(Box::new(told)));
        cx.emit(Event::CallRejected {
            ticket,
            result: Ok(()),
        });
    }

    fn remember(&mut self, stanza: &Node, news: &CallNews) {
        if self.open.len() >= MAX_CALLS {
            self.open.pop_front();
        }
        let child = stanza.nodes().first();
        let creator = child.and_then(|child| child.attr_jid("call-creator"));
        let peer = stanza.attr_jid("from").unwrap_or_else(|| news.from.clone());
        self.open.push_back(Open {
            news: news.clone(),
            creator: creator.unwrap_or_else(|| peer.clone()),
            peer: peer.to_bare(),
            is_taken: false,
        });
    }

    /// What the stanza says of a call, and what is remembered of that; `None` of what concerns nobody here, such as ways for
    /// the sound.
    fn news(&self, cx: &mut Context<'_>, directory: &mut Directory, stanza: &Node) -> Option<CallNews> {
        let child = stanza.nodes().first()?;
        let id = child.attr_str("call-id").filter(|id| is_id(id))?.into_owned();
        let sender = stanza.attr_jid("from")?;
        let from = child.attr_jid("call-creator").unwrap_or(sender).to_bare();
        if let Some(phone) = child.attr_jid("caller_pn").filter(|_| from.is_lid()) {
            directory.learn(cx, &phone.to_bare(), &from);
        }
        let known = self.open.iter().find(|open| open.news.id == id);
        let stage = stage(child, known.is_some_and(|open| !open.is_taken))?;
        let group = child.attr_jid("group-jid").filter(Jid::is_group);
        let is_of_group = child.attr_is("type", "group") || group.is_some();
        let is_video = child.child("video").is_some() || child.attr_is("media", "video");
        let begun = known.map(|open| &open.news);
        Some(CallNews {
            other: directory.other_name(&from),
            name: text(stanza, "notify").or_else(|| begun?.name.clone()),
            is_video: is_video || begun.is_some_and(|begun| begun.is_video),
            is_group: is_of_group || begun.is_some_and(|begun| begun.is_group),
            group: group.or_else(|| begun?.group.clone()),
            reason: text(child, "reason"),
            offline: stanza.value("offline").is_some(),
            timestamp: stanza.attr_u64("t").map(Timestamp::from_secs),
            id,
            stage,
            from,
        })
    }
}

fn stage(child: &Node, rings: bool) -> Option<CallStage> {
    Some(match child.tag() {
        "offer" | "offer_notice" => CallStage::Offer,
        "accept" => CallStage::Accept,
        "reject" => CallStage::Reject,
        "terminate" => match child.attr_str("reason").as_deref() {
            Some("accepted_elsewhere") => CallStage::Accept,
            Some("rejected_elsewhere") => CallStage::Reject,
            Some("timeout") => CallStage::Missed,
            _ if rings => CallStage::Missed,
            _ => CallStage::End,
        },
        _ => return None,
    })
}

fn text(node: &Node, name: &str) -> Option<String> {
    node.attr_str(name).map(std::borrow::Cow::into_owned)
}

/// An id that can be told and asked for.
fn is_id(id: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::testing::Lender;

    const CALLER: &str = "100000000000002:0@lid";

    fn call(child: Node) -> Node {
        let child = child
            .attr("call-id", "8F1C")
            .attr("call-creator", CALLER.parse::<Jid>().unwrap());
        Node::new("call")
            .attr("id", "1")
            .attr("from", "100000000000002@lid".parse::<Jid>().unwrap())
            .attr("t", 1_790_000_000u64)
            .attr("notify", "Ana")
            .with_child(child)
    }

    fn end(reason: Option<&'static str>) -> Node {
        call(Node::new("terminate").attr_opt("reason", reason))
    }

    fn told(calls: &mut Calls, lender: &mut Lender, stanza: &Node) -> Option<CallNews> {
        let mut directory = Directory::default();
        calls.on_stanza(&mut lender.context(), &mut directory, stanza);
        lender.take_events().into_iter().find_map(|event| match event {
            Event::Call(news) => Some(*news),
            _ => None,
        })
    }

    fn offer() -> Node {
        call(
            Node::new("offer")
                .attr("caller_pn", Jid::phone("15550002").unwrap())
                .with_child(Node::new("audio"))
                .with_child(Node::new("video")),
        )
    }

    #[test]
    fn a_call_is_told_from_its_beginning_to_its_end() {
        for (end, stage) in [
            (end(Some("timeout")), CallStage::Missed),
            (end(None), CallStage::Missed),
            (end(Some("accepted_elsewhere")), CallStage::Accept),
            (end(Some("rejected_elsewhere")), CallStage::Reject),
            (call(Node::new("reject")), CallStage::Reject),
        ] {
            let (mut calls, mut lender) = (Calls::default(), Lender::new());
            let begun = told(&mut calls, &mut lender, &offer()).unwrap();
            assert_eq!((begun.stage, begun.is_video), (CallStage::Offer, true));
            assert_eq!(
                begun.other.map(|other| other.to_string()).as_deref(),
                Some("15550002@s.whatsapp.net")
            );
            let ended = told(&mut calls, &mut lender, &end).unwrap();
            assert_eq!((ended.stage, ended.is_video), (stage, true), "{end:?}");
            assert_eq!(ended.name.as_deref(), Some("Ana"));
        }
    }

    #[test]
    fn what_was_taken_is_not_missed_and_what_is_unknown_only_ends() {
        let (mut calls, mut lender) = (Calls::default(), Lender::new());
        told(&mut calls, &mut lender, &offer());
        told(&mut calls, &mut lender, &call(Node::new("accept")));
        let ended = told(&mut calls, &mut lender, &end(None)).unwrap();
        assert_eq!(ended.stage, CallStage::End);
        let unknown = told(&mut calls, &mut lender, &end(None)).unwrap();
        assert_eq!((unknown.stage, unknown.is_video), (CallStage::End, false));
        assert!(told(&mut calls, &mut lender, &call(Node::new("transport"))).is_none());
    }

    #[test]
    fn only_a_call_that_rings_is_rejected_and_only_so_many_are_remembered() {
        let (mut calls, mut lender) = (Calls::default(), Lender::new());
        let group = call(
            Node::new("offer_notice")
                .attr("media", "video")
                .attr("type", "group"),
        );
        let notice = told(&mut calls, &mut lender, &group).unwrap();
        assert!(notice.is_group && notice.is_video);
        for _ in 0..2 {
            calls.reject(&mut lender.context(), 1, "8F1C");
        }
        let answers = lender.take_events().into_iter().filter_map(|event| match event {
            Event::CallRejected { result, .. } => Some(result.is_ok()),
            _ => None,
        });
        assert_eq!(answers.collect::<Vec<_>>(), [true, false]);
        for n in 0..2 * MAX_CALLS {
            let child = Node::new("offer").attr("call-id", format!("{n}"));
            let other = Node::new("call").attr("from", CALLER.parse::<Jid>().unwrap());
            assert!(told(&mut calls, &mut lender, &other.with_child(child)).is_some());
        }
        assert!(calls.open.len() <= MAX_CALLS);
    }
}
