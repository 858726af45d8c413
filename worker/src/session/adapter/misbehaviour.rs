//! What peers do that no app does: counted by reason, and said in one line now and then. It harms their own message alone.
//! What the library gave up is counted here as well: it has no other consequence.

use std::time::Duration;

use shared::clock::Clock;
use shared::id::SessionId;
use tokio::time::Instant;
use whatsapp::event::{Event, Misbehaviour};

use crate::session::meter;

/// What was said of one session's peers, so that many of them do not fill the logs. Allocates nothing until it is needed.
#[derive(Debug, Default)]
pub(crate) struct Noted(Vec<Note>);

/// What was done of one kind since it was last said.
#[derive(Debug)]
struct Note {
    how: Misbehaviour,
    said_at: Instant,
    unsaid: u64,
}

impl Noted {
    /// Counts what is among these events, and says it.
    pub(super) fn note(&mut self, session: SessionId, clock: Clock, events: &[Event]) {
        for event in events {
            match event {
                Event::Misbehaved { how } => {
                    meter::misbehaved(how.as_str());
                    if let Some(times) = self.is_due(*how, clock.now()) {
                        say(session, *how, times);
                    }
                }
                Event::Dropped { what } => meter::dropped(what.as_str()),
                Event::Undecryptable { given_up: true, .. } => meter::unreadable(),
                _ => {}
            }
        }
    }

    /// How often it was done since it was last said, if it is to be said again.
    fn is_due(&mut self, how: Misbehaviour, now: Instant) -> Option<u64> {
        let Some(note) = self.0.iter_mut().find(|note| note.how == how) else {
            let said_at = now;
            self.0.push(Note {
                how,
                said_at,
                unsaid: 0,
            });
            return Some(1);
        };
        note.unsaid += 1;
        if now.saturating_duration_since(note.said_at) < SILENCE {
            return None;
        }
        note.said_at = now;
        Some(std::mem::take(&mut note.unsaid))
    }
}

fn say(session: SessionId, how: Misbehaviour, times: u64) {
    let words = match how {
        Misbehaviour::WrongMac => "a message has a wrong MAC; its sender is asked for it again",
        Misbehaviour::Unreadable => "a message can't be decrypted; its sender is asked for it again",
        Misbehaviour::Repeated => "a message came that was handled before; it is acknowledged and not shown",
        Misbehaviour::Rubbish => "what was encrypted is no message; it is refused",
        Misbehaviour::NoStanza => "a frame is no stanza; it is skipped",
        Misbehaviour::Malformed => "a message does not say what it must; it is refused",
        Misbehaviour::ForgedDeletion => "somebody deletes what they did not write; that is nothing",
        Misbehaviour::ForgedEdit => "somebody edits what they did not write; that is nothing",
        Misbehaviour::NotOurPhone => "somebody says what only our own phone may; that is nothing",
        _ => "a peer did what no app does",
    };
    tracing::info!(session.id = %session, reason = how.as_str(), times, "{words}");
}

/// How long nothing more is said of one kind.
const SILENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;
    use whatsapp::event::Dropped;

    use super::*;

    #[test]
    fn what_was_given_up_is_counted() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let undecryptable = |given_up| Event::Undecryptable {
            id: "3EB0".parse().unwrap(),
            chat: "5531900000001@s.whatsapp.net".parse().unwrap(),
            sender: "5531900000001@s.whatsapp.net".parse().unwrap(),
            attempt: 1,
            given_up,
        };
        let piece = Event::Dropped {
            what: Dropped::HistoryPiece,
        };
        let events = [undecryptable(false), undecryptable(true), piece];
        metrics::with_local_recorder(&recorder, || {
            Noted::default().note(SessionId::new(1), Clock::system(), &events);
        });
        let told = recorder.handle().render();
        for counted in [
            "fanfare_messages_unreadable_total 1\n",
            "fanfare_dropped_total{what=\"history_piece\"} 1\n",
        ] {
            assert!(told.contains(counted), "{counted} in {told}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_kind_is_said_once_a_minute_with_how_often_it_was() {
        let mut noted = Noted::default();
        for how in Misbehaviour::ALL {
            assert_eq!(noted.is_due(how, Instant::now()), Some(1));
            assert_eq!(noted.is_due(how, Instant::now()), None);
        }
        tokio::time::advance(SILENCE).await;
        assert_eq!(noted.is_due(Misbehaviour::WrongMac, Instant::now()), Some(2));
        assert_eq!(noted.is_due(Misbehaviour::WrongMac, Instant::now()), None);
        assert_eq!(noted.0.len(), Misbehaviour::ALL.len());
    }
}
