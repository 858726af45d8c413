//! Shows a QR code's text, and prints every text that comes once the phone has scanned it. Ctrl-C unlinks the device.
//!
//! `cargo run -p whatsapp --example pair_and_print`
#![allow(clippy::print_stdout)]

mod common;

use std::error::Error;
use std::pin::pin;

use whatsapp::event::Event;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (session, mut events) = common::paired_session().await?;
    // One for all of the loop: what comes between two of them would be heard by neither.
    let mut stop = pin!(tokio::signal::ctrl_c());
    println!("open");
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            _ = &mut stop => break,
        };
        match event {
            Some(Event::Message(incoming)) => {
                if let Some(text) = common::text_of(&incoming.message) {
                    println!("{}: {text}", incoming.sender);
                }
            }
            Some(event) => println!("{event:?}"),
            None => break,
        }
    }
    // Its keys are gone when it ends: the phone should not go on listing it.
    let (_, ended) = tokio::join!(session.logout(), events.ended());
    println!("{:?}", ended?);
    Ok(())
}
