//! The way out of a session: the proxy of its own that it leaves by, if it has one.
//!
//! What is kept is sealed, and opened for a connection that begins. Knows nothing of connections.

use std::sync::Arc;

use shared::proxy::ProxyUrl;
use shared::store::{StoreError, proxies};
use whatsapp::proxy::Proxy;

use super::adapter::proxy::proxy;
use super::context::Context;

/// The proxy of its own that the session leaves by from its next connection on.
///
/// # Errors
/// [`StoreError`] where it can't be read: then it must not leave at all, since the deployment's way is not its own.
pub(super) fn own(cx: &Context) -> Result<Option<Arc<Proxy>>, StoreError> {
    let Some(url) = opened(cx)? else {
        return Ok(None);
    };
    let proxy = proxy(&url).map_err(|_| StoreError::Corrupt("proxy"))?;
    Ok(Some(Arc::new(proxy)))
}

/// The session leaves by this proxy from now on, or as the deployment does; answers whether that is another way.
///
/// # Errors
/// [`StoreError`] where the proxy can't be sealed.
pub(super) fn set(cx: &mut Context, url: Option<&ProxyUrl>) -> Result<bool, StoreError> {
    // One that does not open any more is another.
    if matches!(opened(cx), Ok(current) if current.as_ref() == url) {
        return Ok(false);
    }
    let seal = |url| proxies::seal(&cx.around.store, cx.record.id, url);
    let sealed = url.map(seal).transpose()?.map(Box::new);
    cx.record.proxy.clone_from(&sealed);
    cx.recorder.write.session_row().proxy = Some(sealed);
    Ok(true)
}

fn opened(cx: &Context) -> Result<Option<ProxyUrl>, StoreError> {
    let stored = cx.record.proxy.as_deref();
    let open = |sealed| proxies::open(&cx.around.store, cx.record.id, sealed);
    stored.map(open).transpose()
}
