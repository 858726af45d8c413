//! What keeps a session from being linked with an account, told from its row and from whether anybody is there to link it.
//!
//! A row says what was so when its worker wrote it. Without a worker nothing of it is so but that it is paired.

use std::time::Duration;

use shared::store::sessions::{SessionRecord, SessionState};

use super::closing;
use super::waiting::{self, Worker};
use crate::problem::{Code, Problem};
use crate::tokens::being_deleted;

/// Whether the session is connected as its account.
pub fn is_connected(session: &SessionRecord, worker: Worker) -> bool {
    session.state == SessionState::Open && worker == Worker::Running
}

/// Why there is nobody to link: the session has its account, or goes.
pub fn nobody_to_link(session: &SessionRecord, worker: Worker) -> Option<Problem> {
    if session.deleting_at.is_some() {
        return Some(being_deleted(&session.token));
    }
    if is_connected(session, worker) {
        let text = "the session is connected; there is nothing to scan and no code to type";
        return Some(Problem::new(Code::AlreadyConnected, text));
    }
    let is_paired = session.paired_at.is_some() || session.state == SessionState::Open;
    is_paired.then(|| {
        let why = waiting::not_open(session, worker).map_or("it is not connected", |(_, why)| why);
        let text = format!(
            "the session is paired and not connected at this moment: {why}. Log it out to pair it anew"
        );
        Problem::new(Code::AlreadyPaired, text)
    })
}

/// What keeps a session from ever having a QR code, as it stands.
pub fn no_code_ever(session: &SessionRecord) -> Option<Problem> {
    let token = &session.token;
    let (code, what) = match (session.wanted, session.state) {
        (true, _) if session.refused => {
            let why = waiting::close_detail(session).unwrap_or_default();
            (Code::SessionStopped, format!("{why}:"))
        }
        (true, _) => return None,
        (false, SessionState::LoggedOut) => (Code::SessionLoggedOut, "the session is logged out;".to_owned()),
        (false, _) => (Code::SessionStopped, "the session is stopped;".to_owned()),
    };
    let text = format!("{what} POST /v1/sessions/{token}/start has it show QR codes again");
    Some(Problem::new(code, text))
}

/// Why there is no QR code at this moment, of a session that is to show them and has a worker.
pub fn no_code_yet(session: &SessionRecord) -> Problem {
    if let Some(problem) = away(session, Code::QrNotReady) {
        return problem;
    }
    let text = match session.state {
        SessionState::Pairing if session.passkey.as_ref().is_some_and(|stage| stage.is_open()) => PASSKEY,
        SessionState::Pairing => BETWEEN,
        _ => CONNECTING,
    };
    Problem::new(Code::QrNotReady, text).retry_after(SOON)
}

/// WhatsApp, or the way to it, is away from a session that keeps trying; said under this code.
pub fn away(session: &SessionRecord, code: Code) -> Option<Problem> {
    let tries = session.wanted && !session.refused;
    let is_off = matches!(session.state, SessionState::Closed | SessionState::Connecting);
    let why = session.close_reason.filter(|_| tries && is_off)?;
    if waiting::is_outdated(session) {
        return Some(Problem::new(code, waiting::OUTDATED).retry_after(OUTDATED_AGAIN));
    }
    let text = format!(
        "{} (closeReason {why}). The session tries again by itself: within seconds at first, then every five minutes",
        closing::words(why)
    );
    Some(Problem::new(code, text).retry_after(AWAY_AGAIN))
}

const PASSKEY: &str = "the code was scanned, and the account must be proved with a passkey; the session's passkey says what \
     is to be done";
const BETWEEN: &str = "the last QR code has just run out, and WhatsApp is about to give the next";
const CONNECTING: &str = "the session's worker is connecting it to WhatsApp; the QR code comes with that";

/// When to ask again for what is about to come.
const SOON: Duration = Duration::from_secs(1);
/// When to ask again of a session that keeps trying.
const AWAY_AGAIN: Duration = Duration::from_secs(30);
/// When to ask again of one that waits for a newer version of WhatsApp Web: it comes within about this time.
const OUTDATED_AGAIN: Duration = Duration::from_secs(60);
