//! The proxies that sessions leave by, sealed like their credentials: a URL may hold a password.
//!
//! Whoever sets one seals it; only who connects opens it again.

use bytes::Bytes;

use super::{Store, StoreError};
use crate::id::SessionId;
use crate::proxy::ProxyUrl;
use crate::seal::Place;

/// A session's proxy as stored.
#[derive(Clone, Eq, PartialEq)]
pub struct SealedProxy {
    /// Scheme, host and port, to be shown.
    pub address: String,
    pub(super) sealed: Bytes,
}

impl SealedProxy {
    /// What is stored: opens nowhere but for its session.
    pub(super) fn sealed_bytes(&self) -> &[u8] {
        &self.sealed
    }
}

impl std::fmt::Debug for SealedProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealedProxy({})", self.address)
    }
}

/// Seals a proxy for its session.
///
/// # Errors
/// [`StoreError::Seal`] if this process has no key.
pub fn seal(store: &Store, session: SessionId, proxy: &ProxyUrl) -> Result<SealedProxy, StoreError> {
    let sealed = store.sealer()?.seal(place(session), proxy.expose().as_bytes());
    Ok(SealedProxy {
        address: proxy.to_string(),
        sealed: sealed.into(),
    })
}

/// Opens the proxy of a session.
///
/// # Errors
/// [`StoreError::Seal`] if it opens under no key that this process has, [`StoreError::Corrupt`].
pub fn open(store: &Store, session: SessionId, proxy: &SealedProxy) -> Result<ProxyUrl, StoreError> {
    let opened = zeroize::Zeroizing::new(store.sealer()?.open(place(session), &proxy.sealed)?);
    let url = std::str::from_utf8(&opened).ok().and_then(|url| url.parse().ok());
    url.ok_or(StoreError::Corrupt("proxy"))
}

fn place(session: SessionId) -> Place<'static> {
    Place {
        session,
        kind: PROXY_KIND,
        name: b"",
    }
}

/// The kind under which proxies are sealed: outside what a session's keys use.
pub(super) const PROXY_KIND: u8 = 252;
