//! What the clients of a network have stored, and their coming back with it.

use bytes::Bytes;
use futures_util::FutureExt as _;
use rand::{SeedableRng, rngs::StdRng};

use super::network::{Network, caught_up};
use crate::binary::Node;
use crate::connection::Connection;
use crate::connection::tests::peer::{Peer, ServerKeys, shared};
use crate::device::Device;
use crate::jid::Jid;
use crate::signal::Address;
use crate::store::{Changes, KeyStore as _, RecordKey};

impl Network {
    /// Whether a client's store has a session with this device.
    pub(super) fn has_session(&mut self, at: usize, jid: Jid) -> bool {
        self.session(at, jid).is_some()
    }

    fn session(&mut self, at: usize, jid: Jid) -> Option<Bytes> {
        self.record(at, RecordKey::session(&Address::from(jid)))
    }

    /// A client comes back with what its store has, as a new process would.
    pub(super) fn restart(&mut self, at: usize) {
        self.restart_noting(at);
        self.clients[at].events.clear();
        self.clients[at].sent.clear();
    }

    /// The same; what it says at its login is not forgotten.
    pub(super) fn restart_noting(&mut self, at: usize) {
        self.clients[at].sent.clear();
        self.restart_behind(at);
        self.hand(at, &caught_up());
    }

    /// The same, with more to come of what waited.
    pub(super) fn restart_behind(&mut self, at: usize) {
        let keys = ServerKeys::new(1);
        let device = self.clients[at].store.device().unwrap();
        let rng = StdRng::seed_from_u64(77_000 + at as u64);
        let now = self.now;
        let lid = self.clients[at].lid.clone();
        self.clients[at].connection = Connection::new(shared(self.seen(&keys)), device, rng, now);
        self.clients[at].peer = Peer::new(&keys);
        self.settle();
        self.clients[at]
            .peer
            .send(&Node::new("success").attr("t", now.as_secs()).attr("lid", lid));
        self.settle();
    }

    /// A client comes back without these records.
    pub(super) fn lose(&mut self, at: usize, records: Changes) {
        let lost = self.clients[at].store.commit(records, Vec::new());
        lost.now_or_never().unwrap().unwrap();
        self.restart(at);
    }

    /// A record of a client's store.
    pub(super) fn record(&mut self, at: usize, key: RecordKey) -> Option<Bytes> {
        let load = self.clients[at].store.load(vec![key]);
        load.now_or_never().unwrap().unwrap().remove(0)
    }

    /// A client comes back with other credentials.
    pub(super) fn replace_device(&mut self, at: usize, device: Device) {
        let mut changes = Changes::default();
        changes.put_device(&device);
        self.clients[at]
            .store
            .commit(changes, Vec::new())
            .now_or_never()
            .unwrap()
            .unwrap();
        self.restart(at);
    }
}
