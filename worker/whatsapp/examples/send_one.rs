//! Sends one text, to a number with country code, and unlinks the device again.
//!
//! `cargo run -p whatsapp --example send_one -- 15551230002 "hello"`
#![allow(clippy::print_stdout)]

mod common;

use std::env;
use std::error::Error;

use whatsapp::command::Recipient;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(number), Some(text)) = (arguments.next(), arguments.next()) else {
        return Err("usage: send_one NUMBER TEXT".into());
    };
    let (session, events) = common::paired_session().await?;
    // Nobody reads the events here: without their stream, none waits.
    drop(events);
    let known = session.is_on_whatsapp(vec![number.clone()]).await?;
    if known.iter().all(|one| one.jid.is_none()) {
        println!("{number} is not on WhatsApp");
    } else {
        let sent = session.send(Recipient::Phone(number), common::text(text)).await?;
        println!("the server has {} for {}", sent.id, sent.to);
    }
    session.logout().await;
    Ok(())
}
