//! HTTP to addresses that users choose: no further than the operator lets it reach, whatever a name resolves to.
//!
//! Redirects are not followed here: who follows one checks where it leads first.

use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, ClientBuilder, redirect};
use shared::egress::Reach;

/// What is told of ourselves.
pub(crate) const AGENT: &str = concat!("fanfare/", env!("CARGO_PKG_VERSION"));

/// A client that connects to no address beyond `reach`. A literal address never meets its resolver: check it before.
pub(crate) fn client(reach: Reach) -> ClientBuilder {
    // reqwest panics without a provider; another one that is installed already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .dns_resolver(Arc::new(GuardedResolver { reach }))
}

/// Resolves names and drops every address that may not be called. The check is made on the addresses that are
/// then connected to, so a name that changes its mind in between gains nothing.
#[derive(Debug)]
struct GuardedResolver {
    reach: Reach,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.reach;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|address| reach.allows(address.ip())).collect();
            if allowed.is_empty() {
                return Err("the name has no address that may be called".into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}
