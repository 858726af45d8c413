//! One socket's life without the socket: bytes, commands and the time in; [`Step`]s out.

mod config;
mod context;
mod iq;
mod reason;
mod step;
mod stream;

pub use self::{
    config::{ClientVersion, Config, Limits, Timing, WHATSAPP_ORIGIN, WHATSAPP_ROOT_KEY, WHATSAPP_URL},
    context::{AckBy, Context, Credentials},
    iq::Op,
    reason::{CloseReason, Next},
    step::Step,
};
