//! The queues whose messages carry a file: nothing of them starts before it is uploaded.

use std::sync::Arc;

use shared::id::QueueId;
use shared::store::polls::SealedVote;
use shared::store::previews::Preview;
use shared::store::uploads::Upload;
use time::OffsetDateTime;

use super::{Phase, Queue, Queues};
use crate::session::adapter::events::Failure;
use crate::session::attachment::Attachment;
use crate::session::target::Target;

impl Queue {
    /// Its file, once it is uploaded.
    pub(crate) fn upload(&self) -> Option<&Arc<Upload>> {
        match &self.attachment {
            Attachment::Ready(upload) => Some(upload),
            _ => None,
        }
    }

    /// What is shown of the page that it links to.
    pub(crate) fn preview(&self) -> Option<&Preview> {
        match &self.attachment {
            Attachment::Previewed(preview) => preview.as_deref(),
            _ => None,
        }
    }

    /// What it chooses of a poll.
    pub(crate) fn vote(&self) -> Option<&SealedVote> {
        match &self.attachment {
            Attachment::Voted(vote) => Some(vote),
            _ => None,
        }
    }

    /// Whether nothing of it starts before its file is uploaded.
    pub(crate) fn awaits_file(&self) -> bool {
        matches!(self.attachment, Attachment::Awaited)
    }
}

impl Queues {
    /// Those that run and whose file is to be uploaded. Of a session without such queues this costs nothing.
    pub(crate) fn want_files(&mut self, now: OffsetDateTime) -> Vec<QueueId> {
        let mut wanted = Vec::new();
        for id in &self.with_files {
            let queue = self.all.get_mut(id);
            if let Some(queue) = queue.filter(|queue| queue.is_running() && queue.attachment.is_wanted(now)) {
                queue.attachment = Attachment::Awaited;
                wanted.push(*id);
            }
        }
        wanted
    }

    /// What became of the file of a queue, if that is here.
    pub(crate) fn attach(&mut self, id: QueueId, attachment: Attachment) {
        if let Some(queue) = self.all.get_mut(&id) {
            queue.attachment = attachment;
            queue.still.note_move();
            self.moves += 1;
        }
    }

    /// Those of its recipients in memory that a queue without a file can't be sent to. They are in hand from now on.
    pub(crate) fn take_failed(&mut self) -> Vec<(QueueId, Target, Failure)> {
        let mut taken = Vec::new();
        for id in &self.with_files {
            let Some(queue) = self.all.get_mut(id) else {
                continue;
            };
            let Attachment::Failed(why) = &queue.attachment else {
                continue;
            };
            if queue.phase != Phase::Running {
                continue;
            }
            let why = Failure::clone(why);
            let late = queue.late.drain(..).map(|(_, target)| target);
            let targets = queue.page.drain(..).chain(queue.unknown.drain(..)).chain(late);
            taken.extend(targets.map(|target| (*id, target, why.clone())));
        }
        for (id, ..) in &taken {
            if let Some(queue) = self.all.get_mut(id) {
                queue.in_hand += 1;
            }
        }
        taken
    }
}
