//! What publishers ask about groups and do with them.

use rand::Rng as _;
use shared::job::{FailureCode, GroupAction, GroupJob, Job};
use shared::recipient::Number;
use whatsapp::command::Command;
use whatsapp::event::QueryError;
use whatsapp::group::request::{self, GroupRequest, GroupSetting, MemberChange, Verdict};
use whatsapp::jid::Jid;

use super::adapter::groups::{answer, failure};
use super::adapter::names::server;
use super::context::{Context, not_connected};
use super::link::Link;
use super::questions::Questions;
use crate::job::pending::{PendingJob, Stage, failed};
use crate::job::settlement::Reply;

/// The questions of one session about groups.
#[derive(Default)]
pub(super) struct Groups {
    /// With the text that is to be set once it is known which is there.
    asked: Questions<Option<NewText>>,
}

/// What is to be said about a group, under which id.
struct NewText {
    group: Jid,
    text: Option<(String, String)>,
}

impl Groups {
    /// Takes a question.
    pub(super) fn ask(&mut self, cx: &mut Context, link: &Link, job: Box<PendingJob>) {
        let Stage::Read(Job::Group(asked)) = &job.stage else {
            return drop(job);
        };
        let asked = (**asked).clone();
        let reply = job.acknowledge();
        if !link.is_open() {
            return reply.send(not_connected());
        }
        let id = format!("{:016X}", cx.rng.next_u64());
        let Some((request, text)) = request_of(asked, id) else {
            return reply.send(failed(FailureCode::InvalidJob, "a field is missing"));
        };
        self.tell(link, request, reply, text);
    }

    fn tell(&mut self, link: &Link, request: GroupRequest, reply: Reply, text: Option<NewText>) {
        let request = Box::new(request);
        self.asked
            .ask(link, reply, text, |ticket| Command::Group { ticket, request });
    }

    /// WhatsApp has answered, or has not.
    pub(super) fn on_answer(
        &mut self,
        link: &Link,
        ticket: u64,
        result: Result<Box<request::GroupAnswer>, QueryError>,
    ) {
        let Some((reply, text)) = self.asked.close(ticket) else {
            return;
        };
        let told = match (result, text) {
            (Err(error), _) => failure(&error),
            (Ok(found), Some(NewText { group, text })) => {
                let before = match *found {
                    request::GroupAnswer::Group(info) => info.description.map(|text| text.id),
                    _ => None,
                };
                let request = GroupRequest::SetDescription { group, text, before };
                return self.tell(link, request, reply, None);
            }
            (Ok(found), None) => answer(*found),
        };
        reply.send(told);
    }

    /// The connection is gone: nobody answers any more.
    pub(super) fn on_disconnected(&mut self) {
        self.asked.on_disconnected();
    }
}

/// What is asked of WhatsApp for a job; of a description, which one is there first.
fn request_of(job: GroupJob, id: String) -> Option<(GroupRequest, Option<NewText>)> {
    use GroupAction as A;
    let group = job.group.map(|group| jid(&group.0));
    let people: Vec<Jid> = job.participants.iter().map(|person| jid(&person.0)).collect();
    let change = |change| {
        Some(GroupRequest::ChangeMembers(
            group.clone()?,
            change,
            people.clone(),
        ))
    };
    let decide = |verdict| Some(GroupRequest::Decide(group.clone()?, verdict, people.clone()));
    let set = |setting| Some(GroupRequest::Set(group.clone()?, setting));
    let request = match job.action {
        A::List => GroupRequest::List,
        A::Metadata => GroupRequest::Describe(group?),
        A::Create => GroupRequest::Create {
            subject: job.subject?,
            members: people,
        },
        A::Subject => GroupRequest::SetSubject(group?, job.subject?),
        A::Description => {
            let group = group?;
            let text = NewText {
                group: group.clone(),
                text: job.text.map(|text| (text, id)),
            };
            return Some((GroupRequest::Describe(group), Some(text)));
        }
        A::Add => change(MemberChange::Add)?,
        A::Remove => change(MemberChange::Remove)?,
        A::Promote => change(MemberChange::Promote)?,
        A::Demote => change(MemberChange::Demote)?,
        A::Invite => GroupRequest::Invite(group?),
        A::RevokeInvite => GroupRequest::RevokeInvite(group?),
        A::InviteInfo => GroupRequest::DescribeInvite(job.code?),
        A::Join => GroupRequest::Join(job.code?),
        A::Announce => set(GroupSetting::Announce(job.on?))?,
        A::Locked => set(GroupSetting::Locked(job.on?))?,
        A::AllMayAdd => set(GroupSetting::AllMayAdd(job.on?))?,
        A::AsksToJoin => set(GroupSetting::AsksToJoin(job.on?))?,
        A::Disappearing => set(GroupSetting::Disappearing(job.seconds?))?,
        A::Leave => GroupRequest::Leave(group?),
        A::Requests => GroupRequest::Applicants(group?),
        A::Linked => GroupRequest::Linked(group?),
        A::Approve => decide(Verdict::Approve)?,
        A::Reject => decide(Verdict::Reject)?,
    };
    Some((request, None))
}

fn jid(number: &Number) -> Jid {
    Jid::new(number.user(), server(number.kind()))
}
