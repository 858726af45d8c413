//! The vote that a queue is: sealed once for the poll that it is in, beside the sends.
//!
//! It is written down before it is sent, so that who asks for the message again gets the same.

use shared::content::Vote;
use shared::id::{QueueId, SessionId};
use shared::store::sessions::Owner;
use shared::store::{Fence, Store, StoreError, polls};
use whatsapp::poll::IV_BYTES;

use super::adapter::polls::{gone, seal};
use super::context::Transferred;

/// A vote that is to be sealed.
pub(super) struct Voting {
    pub(super) store: Store,
    pub(super) fence: Fence,
    pub(super) session: SessionId,
    pub(super) owner: Option<Owner>,
    pub(super) vote: Vote,
    pub(super) iv: [u8; IV_BYTES],
}

impl Voting {
    /// The vote as it is stored, or sealed now.
    pub(super) async fn seal(self, id: QueueId) -> Transferred {
        match self.sealed(id).await {
            Ok(transferred) => transferred,
            Err(error) => Transferred::Lost(error),
        }
    }

    async fn sealed(self, id: QueueId) -> Result<Transferred, StoreError> {
        if let Some(known) = polls::find_vote(&self.store, id).await? {
            return Ok(Transferred::Voted(Box::new(known)));
        }
        let poll = polls::find(&self.store, self.session, id, &self.vote).await?;
        let Some((poll, owner)) = poll.zip(self.owner) else {
            return Ok(Transferred::NoVote(Box::new(gone())));
        };
        let sealed = match seal(&self.vote, &poll, &owner, self.iv) {
            Ok(sealed) => sealed,
            Err(failure) => return Ok(Transferred::NoVote(Box::new(failure))),
        };
        polls::save_vote(&self.store, self.fence, id, &sealed).await?;
        Ok(Transferred::Voted(Box::new(sealed)))
    }
}
