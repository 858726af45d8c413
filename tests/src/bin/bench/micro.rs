//! The library alone: codec, sessions, and a whole send without a socket.

use anyhow::{Result, ensure};
use shared::content::{Content, Text, Variables};

use crate::baileys::Baileys;
use crate::report::{Row, Target};
use crate::work::measure::{Figure, alone, timed};
use crate::work::{app_state, codec, files, history, pairwise, send};

/// How many times as fast as Baileys decoding has to be.
const DECODE_FACTOR: f64 = 10.0;
/// Which part of a whole send it may cost to make a text for one recipient.
const RENDER_SHARE: f64 = 0.03;
/// Texts that are made per round.
const RENDERINGS: u32 = 1_000;
/// Figures are taken in nanoseconds and shown in microseconds.
const TO_US: f64 = 1e-3;

/// Measures and prints the rows.
pub(crate) async fn measure(baileys: &Baileys) -> Result<()> {
    let theirs = baileys.run(&["micro"], None).await?;
    let name = "encode_message_2_devices";
    let (own_bytes, their_bytes) = (codec::wire().len() - 1, theirs.bytes(name)? - 1);
    ensure!(
        own_bytes == their_bytes,
        "payloads differ: {own_bytes} bytes and {their_bytes}"
    );

    let encode = against_floor(codec::encoding(), codec::ENCODE_TARGET);
    row(name, encode, Some(theirs.get(name, "us")?)).print();

    let (name, decoding) = ("decode_message_2_devices", codec::decoding().scaled(TO_US));
    let their_decoding = theirs.get(name, "us")?;
    let target = Target::AtMost(their_decoding.median / DECODE_FACTOR);
    row(name, (decoding, None, target), Some(their_decoding)).print();

    let encrypt = against_floor(pairwise::encrypting(), pairwise::ENCRYPT_TARGET);
    row(
        "ratchet_encrypt_112",
        encrypt,
        Some(theirs.get("ratchet_encrypt_112", "us")?),
    )
    .print();
    let start = against_floor(pairwise::starting(), pairwise::START_TARGET);
    row("session_start", start, Some(theirs.get("session_start", "us")?)).print();
    let whole = against_floor(send::sending(), send::SEND_TARGET);
    row("send_3_devices", whole, Some(theirs.get("send_3_devices", "us")?)).print();
    let (sending, ..) = whole;
    let target = Target::AtMost(RENDER_SHARE * sending.median);
    row("render_variables", (rendering()?, None, target), None).print();
    for (name, measured) in [
        ("group_200_warm", send::group::warm()),
        ("group_200_cold", send::group::cold()),
    ] {
        row(name, against_floor(measured, send::group::GROUP_TARGET), None).print();
    }
    for (name, measured) in [
        ("media_seal_256k", files::sealing()),
        ("media_open_256k", files::opening()),
    ] {
        row(name, against_floor(measured, files::TARGET), None).print();
    }
    let receive = against_floor(send::incoming::receiving(), send::incoming::RECEIVE_TARGET);
    let read = against_floor(history::reading(), history::TARGET);
    let patches = against_floor(app_state::applying(), app_state::TARGET);
    for (name, measured) in [
        ("receive_text", receive),
        ("history_chunk_1000", read),
        ("app_state_20_patches", patches),
    ] {
        row(name, measured, Some(theirs.get(name, "us")?)).print();
    }
    Ok(())
}

/// What a personal text costs beside one that is the same for all: two variables and a default in a hundred characters.
fn rendering() -> Result<Figure> {
    let text = "Hi {{name|there}}, your table for {{guests}} is ready at nine. Until when is {{until|ten}} fine with you?";
    let content = Content::from(Text::new(text));
    let variables: Variables = serde_json::from_str(r#"{"name":"Ana","guests":"4"}"#)?;
    let figure = alone(|| {
        timed(RENDERINGS, || {
            std::hint::black_box(content.filled(std::hint::black_box(&variables)));
        })
    });
    Ok(figure.scaled(TO_US))
}

type Measured = (Figure, Option<Figure>, Target);

fn against_floor((ours, floor): (Figure, Figure), factor: f64) -> Measured {
    let floor = floor.scaled(TO_US);
    (
        ours.scaled(TO_US),
        Some(floor),
        Target::AtMost(factor * floor.median),
    )
}

fn row(name: &'static str, (ours, floor, target): Measured, baileys: Option<Figure>) -> Row {
    Row {
        name,
        unit: "us",
        ours,
        baileys,
        floor,
        target: Some(target),
    }
}
