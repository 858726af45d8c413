//! What becomes of somebody's ratchets and devices when they have another number, and by which names it is told that they have
//! other keys.
//!
//! Facts: docs/PROTOCOL.md, "People".

use super::{E2e, Peer};
use crate::event::Event;
use crate::jid::Jid;
use crate::part::Context;
use crate::signal::Address;

/// Most devices whose ratchets are being moved at a time; of more, sessions begin anew.
const MAX_MOVING: usize = 256;

/// What somebody goes by.
pub(crate) struct Names<'a> {
    /// The number.
    pub(crate) phone: &'a Jid,
    /// The hidden id, if it is known.
    pub(crate) lid: Option<&'a Jid>,
}

impl E2e {
    /// Somebody has another number, and maybe another hidden id: what was kept with the devices of the former names goes to
    /// the present ones, and their devices are asked for anew.
    pub(crate) fn on_renumbered(&mut self, cx: &mut Context<'_>, former: &Names<'_>, present: &Names<'_>) {
        let listed = self.directory.devices(cx.device, former.phone, cx.now);
        let mut devices: Vec<u16> = listed.map_or_else(Vec::new, |list| list.devices.to_vec());
        for name in [Some(former.phone), former.lid].into_iter().flatten() {
            devices.extend(self.ratchets.devices_of(name).iter().map(Address::device));
        }
        devices.push(0);
        devices.sort_unstable();
        devices.dedup();
        // Under the hidden id, where that is known.
        let name = former.lid.unwrap_or(former.phone);
        let earlier: Vec<Address> = devices
            .iter()
            .map(|device| Address::from(name.clone().with_device(*device)))
            .collect();
        self.directory.forget_devices(cx.device, former.phone);
        self.directory.forget_number(cx, former.phone, former.lid);
        if let Some(lid) = present.lid.or(former.lid) {
            self.directory.learn(cx, present.phone, lid);
        }
        self.directory.forget_devices(cx.device, present.phone);
        for earlier in earlier {
            let wire = present.phone.clone().with_device(earlier.device());
            let address = self.directory.peer(cx.device, wire.clone()).address;
            if address != earlier {
                let earlier = Some(earlier);
                let moved = Peer {
                    wire,
                    address,
                    earlier,
                };
                self.moving.push(moved);
            }
        }
        self.moving.truncate(MAX_MOVING);
        self.go_on_moving(cx);
    }

    /// The store has answered: moves what could not be moved before.
    pub(super) fn go_on_moving(&mut self, cx: &mut Context<'_>) {
        for moved in std::mem::take(&mut self.moving) {
            if !self.ensure(cx, std::iter::once(&moved)) {
                self.moving.push(moved);
            }
        }
    }

    /// Tells whose identities have changed by both names.
    pub(super) fn name_changed(&self, cx: &mut Context<'_>) {
        for event in cx.events_mut() {
            if let Event::IdentityChanged { device, other, .. } = event
                && other.is_none()
            {
                *other = self.directory.other_name(&device.to_bare());
            }
        }
    }
}
