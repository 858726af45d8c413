//! Where files are: the media hosts, asked of the server when a file is first wanted, and kept for as long as they count;
//! or when the owner asks, who keeps them himself.
//!
//! One question is open at a time. Without an answer files are fetched from the host of the settings, as they are when no
//! host of the server's has one.
//!
//! Facts: docs/PROTOCOL.md, "Media".

use std::time::Duration;

use crate::event::{Event, QueryError};
use crate::part::{Answer, Context, PartId, Ticket, Tickets};
use crate::stanza::media_conn::{self, MediaConn};

/// How long after a question without an answer another one may be asked.
const RETRY: Duration = Duration::from_secs(60);

/// Questions of the owner that wait for one answer.
const MAX_ASKED: usize = 64;

pub(super) struct MediaHosts {
    questions: Tickets<()>,
    is_asking: bool,
    /// The owner's questions that the one under way answers.
    asked: Vec<u64>,
}

impl MediaHosts {
    /// Nothing known; allocates nothing.
    pub(super) fn new(part: PartId) -> Self {
        Self {
            questions: Tickets::new(part),
            is_asking: false,
            asked: Vec::new(),
        }
    }

    /// Has the hosts asked for if a file is wanted and they are not known. Call at the end of each input.
    pub(super) fn advance(&mut self, cx: &mut Context<'_>) {
        if cx.effects.downloads.wants_hosts(cx.now) {
            self.ask(cx);
        }
    }

    /// The owner asks. Answered by `MediaHosts`.
    pub(super) fn ask_for(&mut self, cx: &mut Context<'_>, ticket: u64) {
        if self.asked.len() >= MAX_ASKED {
            let result = Err(QueryError::Busy);
            return cx.emit(Event::MediaHosts { ticket, result });
        }
        self.asked.push(ticket);
        self.ask(cx);
    }

    fn ask(&mut self, cx: &mut Context<'_>) {
        if !std::mem::replace(&mut self.is_asking, true) {
            cx.ask(media_conn::query(), self.questions.open(()));
        }
    }

    /// The connection is over: what the owner waits for is answered.
    pub(super) fn on_closed(&mut self, cx: &mut Context<'_>) {
        self.tell(cx, &Err(QueryError::NotConnected));
    }

    fn tell(&mut self, cx: &mut Context<'_>, result: &Result<Box<MediaConn>, QueryError>) {
        for ticket in std::mem::take(&mut self.asked) {
            let result = result.clone();
            cx.emit(Event::MediaHosts { ticket, result });
        }
    }

    /// The server has answered, or has not.
    pub(super) fn on_answer(&mut self, cx: &mut Context<'_>, ticket: &Ticket, answer: Answer) {
        if self.questions.close(ticket).is_none() {
            return;
        }
        self.is_asking = false;
        let named = answer.and_then(|answer| MediaConn::parse(&answer).ok_or(QueryError::Malformed));
        let named = named.map(Box::new);
        self.tell(cx, &named);
        let conn = named.ok();
        let media_url = &cx.config.media_url;
        let scheme = media_url.split_once("://").map_or("https", |(scheme, _)| scheme);
        let (mut addresses, lives) = match &conn {
            Some(conn) => (conn.addresses(scheme), conn.ttl),
            None => {
                tracing::debug!("the server named no media host; the one of the settings is used");
                (Vec::new(), RETRY)
            }
        };
        let default = media_url.trim_end_matches('/').to_owned();
        if !addresses.contains(&default) {
            addresses.push(default);
        }
        cx.effects.downloads.set_hosts(addresses, cx.now + lives);
    }
}
