//! What the examples share: where the server is, and how a session is shown.
//!
//! `WHATSAPP_URL` and `WHATSAPP_ROOT_KEY` (32 bytes as hex) lead to another server than WhatsApp's, such as the simulator.
#![allow(dead_code, unreachable_pub, clippy::print_stdout)]

use std::env;
use std::error::Error;
use std::sync::Arc;

use rand::rngs::StdRng;
use whatsapp::client::{Events, Session, SystemClock};
use whatsapp::connection::{ClientVersion, Config};
use whatsapp::event::Event;
use whatsapp::proto::Message;
use whatsapp::signal::curve::PublicKey;
use whatsapp::store::MemoryStore;

/// Starts a session that forgets its keys at its end, and shows what to scan until it is open.
pub async fn paired_session() -> Result<(Session, Events), Box<dyn Error>> {
    let rng: StdRng = rand::make_rng();
    let (store, clock) = (MemoryStore::new(), SystemClock::new());
    let (session, mut events) = Session::start(config()?, store, clock, rng).await?;
    while let Some(event) = events.next().await {
        match event {
            Event::QrCode { text, .. } => println!("scan: {text}"),
            Event::Paired { jid, platform, .. } => println!("paired with {jid} on {platform}"),
            Event::Open { .. } => return Ok((session, events)),
            Event::Closed { reason } => println!("closed: {reason}"),
            _ => {}
        }
    }
    Err(format!("ended before it was open: {:?}", events.ended().await?).into())
}

fn config() -> Result<Arc<Config>, Box<dyn Error>> {
    let mut config = Config::whatsapp(ClientVersion::KNOWN);
    if let Ok(url) = env::var("WHATSAPP_URL") {
        config.url = url;
    }
    if let Ok(key) = env::var("WHATSAPP_ROOT_KEY") {
        config.root_key = PublicKey::parse(&hex::decode(key)?)?;
    }
    Ok(Arc::new(config))
}

/// What a message says, if it is a text.
pub fn text_of(message: &Message) -> Option<&str> {
    let extended = message.extended_text_message.as_ref();
    let text = message.conversation.as_ref();
    let text = text.or_else(|| extended.and_then(|extended| extended.text.as_ref()));
    text.map(String::as_str)
}

/// A message that says `text`.
pub fn text(text: impl Into<String>) -> Message {
    Message {
        conversation: Some(text.into()),
        ..Message::default()
    }
}
