//! What publishers ask of a session's connection while it links: pairing codes, and the steps of a passkey.

use shared::job::{Answer, FailureCode, PairingCodeJob};
use shared::recipient::Number;
use whatsapp::command::Command;
use whatsapp::event::PasskeyError;

use super::adapter::events::passkey_step;
use super::context::{Context, not_connected};
use super::link::Link;
use super::questions::Questions;
use crate::job::pending::{PendingJob, failed};
use crate::job::settlement::Reply;

#[derive(Default)]
pub(super) struct Linking {
    passkey: Questions,
    pairing: Option<Reply>,
    /// A code is to be asked for, and the phone it is for, when the connection has ended that is about to.
    postponed: Option<(Number, Reply)>,
}

impl Linking {
    /// A step of linking with a passkey, which `command` makes of its ticket.
    pub(super) fn ask_passkey(
        &mut self,
        link: &Link,
        command: impl FnOnce(u64) -> Command,
        job: Box<PendingJob>,
    ) {
        let reply = job.acknowledge();
        if !link.is_running() {
            return reply.send(not_connected());
        }
        self.passkey.ask(link, reply, (), command);
    }

    pub(super) fn on_passkey_step(&mut self, ticket: u64, result: Result<(), PasskeyError>) {
        self.passkey.answer(ticket, passkey_step(result));
    }

    pub(super) fn ask_pairing_code(
        &mut self,
        cx: &mut Context,
        link: &mut Link,
        question: &PairingCodeJob,
        job: Box<PendingJob>,
    ) {
        let reply = job.acknowledge();
        if let Some(proxy) = question.proxy.as_ref().filter(|_| cx.record.paired_at.is_none())
            && let Err(error) = link.leave_by(cx, proxy.as_ref())
        {
            cx.lose(&error);
            return reply.send(not_connected());
        }
        if link.is_closing() {
            // Of another way out, perhaps: nothing of this one may leave by it.
            self.postponed = Some((question.phone.clone(), reply));
            return;
        }
        self.request_code(cx, link, &question.phone, reply);
    }

    /// The connection has ended: asks for the code that waited for that.
    pub(super) fn go_on(&mut self, cx: &mut Context, link: &mut Link) {
        if let Some((phone, reply)) = self.postponed.take() {
            self.request_code(cx, link, &phone, reply);
        }
    }

    fn request_code(&mut self, cx: &mut Context, link: &mut Link, number: &Number, reply: Reply) {
        if cx.record.paired_at.is_some() {
            let answer = failed(FailureCode::Conflict, "the session is paired already");
            return reply.send(answer);
        }
        if cx.is_leaving() {
            return reply.send(not_connected());
        }
        if !link.is_running() {
            cx.want();
            link.pair(cx);
        }
        let phone = number.user().to_owned();
        if !link.tell(Command::RequestPairingCode { phone, custom: None }) {
            let answer = failed(FailureCode::Busy, "the connection is busy");
            return reply.send(answer);
        }
        if let Some(earlier) = self.pairing.replace(reply) {
            earlier.send(failed(FailureCode::Conflict, "another code was asked for"));
        }
    }

    /// The code, or why there is none.
    pub(super) fn on_pairing_code(&mut self, answer: Answer) {
        if let Some(reply) = self.pairing.take() {
            reply.send(answer);
        }
    }

    pub(super) fn on_pairing_code_refused(&mut self, code: u16) {
        let failure = match code {
            408 => FailureCode::Timeout,
            _ => FailureCode::Refused,
        };
        let message = format!("WhatsApp refused to pair by code ({code})");
        self.on_pairing_code(failed(failure, &message));
    }

    /// The connection is gone: nobody answers any more.
    pub(super) fn on_disconnected(&mut self) {
        self.passkey.on_disconnected();
        self.on_pairing_code(not_connected());
    }
}
