//! Says every text back to whoever sent it, and marks it as read. Ctrl-C unlinks the device.
//!
//! `cargo run -p whatsapp --example echo_bot`
#![allow(clippy::print_stdout)]

mod common;

use std::error::Error;

use tokio::sync::mpsc;
use whatsapp::client::{Events, Session};
use whatsapp::command::Recipient;
use whatsapp::event::{Event, Incoming};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (session, events) = common::paired_session().await?;
    println!("open");
    let (texts, received) = mpsc::channel(TEXTS);
    tokio::select! {
        () = read(events, texts) => {}
        () = answer(session.clone(), received) => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    session.logout().await;
    Ok(())
}

/// Reads events all the time, and awaits no answer meanwhile: answers come only as long as events are read.
async fn read(mut events: Events, texts: mpsc::Sender<Box<Incoming>>) {
    while let Some(event) = events.next().await {
        if let Event::Message(incoming) = event
            && !incoming.from_me
            && texts.try_send(incoming).is_err()
        {
            println!("too many texts at once; one is not answered");
        }
    }
}

async fn answer(session: Session, mut texts: mpsc::Receiver<Box<Incoming>>) {
    while let Some(incoming) = texts.recv().await {
        let Some(text) = common::text_of(&incoming.message) else {
            continue;
        };
        session.mark_read(&incoming).await;
        let chat = Recipient::Jid(incoming.chat.clone());
        match session.send(chat, common::text(text)).await {
            Ok(sent) => println!("echoed {} as {}", incoming.id, sent.id),
            Err(error) => println!("not echoed: {error}"),
        }
    }
}

/// Texts that wait to be answered.
const TEXTS: usize = 1_000;
