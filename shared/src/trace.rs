//! The trace that something belongs to, as W3C Trace Context has it: its id, the span that it follows from, and whether
//! its caller wants it recorded.
//!
//! Knows nothing of spans that are recorded, nor of who exports them. What can't be read is no trace: a caller's mistake
//! harms nothing but his own trace. `tracestate` is not carried on.

use std::cell::Cell;
use std::fmt;
use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use rand::{Rng, RngExt};
use sha2::{Digest, Sha256};

/// The header of HTTP requests and of AMQP messages.
pub const TRACEPARENT: &str = "traceparent";
/// Bytes of the text form.
pub const TEXT_BYTES: usize = 55;

/// The flag by which a caller says that it records the trace.
const SAMPLED: u8 = 1;

/// What a part of a trace tells the next one. 25 bytes; cheap to copy.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct TraceContext {
    /// Neither id is ever zero.
    trace: TraceId,
    span: [u8; 8],
    is_sampled: bool,
}

/// A text that is no trace context.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("is no traceparent")]
pub struct NoTrace;

impl TraceContext {
    /// A trace that begins here, at a span that nobody records yet.
    pub fn begin(rng: &mut impl Rng) -> Self {
        // Zero is no id; it comes once in 2^64 times.
        Self {
            trace: TraceId(rng.random::<u128>().max(1).to_be_bytes()),
            span: span_id(rng.random()),
            is_sampled: false,
        }
    }

    /// The same trace, recorded or not.
    #[must_use]
    pub fn sampled(self, sampling: Sampling) -> Self {
        let is_sampled = sampling == Sampling::Recorded;
        Self { is_sampled, ..self }
    }

    /// A span of the same trace, with an id of its own.
    #[must_use]
    pub fn next(self, rng: &mut impl Rng) -> Self {
        let span = span_id(rng.random());
        Self { span, ..self }
    }

    /// The span of the same trace that belongs to something with this name: the same one wherever it is asked for.
    #[must_use]
    pub fn named(self, name: &[u8]) -> Self {
        let digest = Sha256::digest(name);
        let mut id = [0; 8];
        id.copy_from_slice(&digest[..8]);
        let span = span_id(u64::from_be_bytes(id));
        Self { span, ..self }
    }

    /// Whether it is recorded.
    pub fn is_sampled(self) -> bool {
        self.is_sampled
    }

    /// The id of the trace.
    pub fn trace(self) -> TraceId {
        self.trace
    }

    /// The id of the span, as bytes.
    pub fn span_bytes(self) -> [u8; 8] {
        self.span
    }

    /// What a header says, as far as it can be read.
    pub fn read(header: &[u8]) -> Option<Self> {
        std::str::from_utf8(header).ok()?.parse().ok()
    }
}

/// Whether a trace is recorded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sampling {
    /// Its spans are exported.
    Recorded,
    /// It is passed on alone.
    PassedOn,
}

fn span_id(id: u64) -> [u8; 8] {
    id.max(1).to_be_bytes()
}

impl FromStr for TraceContext {
    type Err = NoTrace;

    /// `00-<32 hex>-<16 hex>-<2 hex>`, in small letters; of a later version what stands first.
    fn from_str(text: &str) -> Result<Self, NoTrace> {
        let (head, rest) = text.as_bytes().split_at_checked(TEXT_BYTES).ok_or(NoTrace)?;
        let [version, trace, span, flags] = [0..2, 3..35, 36..52, 53..55].map(|range| &head[range]);
        let is_cut = [2, 35, 52].into_iter().all(|at| head[at] == b'-');
        let is_ended = match version {
            b"00" => rest.is_empty(),
            _ => rest.first().is_none_or(|byte| *byte == b'-'),
        };
        if !is_cut || !is_ended || version == b"ff" {
            return Err(NoTrace);
        }
        hex(version)?;
        let (trace, flags) = (hex(trace)?, hex(flags)?);
        let span = u64::try_from(hex(span)?).map_err(|_| NoTrace)?;
        if trace == 0 || span == 0 {
            return Err(NoTrace);
        }
        Ok(Self {
            trace: TraceId(trace.to_be_bytes()),
            span: span.to_be_bytes(),
            is_sampled: flags & u128::from(SAMPLED) != 0,
        })
    }
}

/// A number in hexadecimal digits, of which those above 9 are small letters.
fn hex(digits: &[u8]) -> Result<u128, NoTrace> {
    digits.iter().try_fold(0, |number: u128, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return Err(NoTrace),
        };
        Ok(number << 4 | u128::from(digit))
    })
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (span, flags) = (u64::from_be_bytes(self.span), u8::from(self.is_sampled) * SAMPLED);
        write!(f, "00-{}-{span:016x}-{flags:02x}", self.trace)
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The id of a trace: `trace.id` of logs.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct TraceId([u8; 16]);

impl TraceId {
    /// As bytes.
    pub fn bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

thread_local! {
    static CURRENT: Cell<Option<TraceContext>> = const { Cell::new(None) };
}

/// The trace of what this thread is at, if it belongs to one: what is logged names it.
pub fn current() -> Option<TraceContext> {
    CURRENT.get()
}

/// Does this as a part of a trace; of none if there is none.
pub fn within<T>(trace: Option<TraceContext>, work: impl FnOnce() -> T) -> T {
    struct Restore(Option<TraceContext>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _restore = Restore(CURRENT.replace(trace));
    work()
}

/// Work that goes on as a part of the trace that is current now, on whichever thread.
pub fn carried<F>(work: F) -> Carried<F> {
    Carried {
        work,
        trace: current(),
    }
}

pin_project! {
    /// Work that is a part of a trace.
    #[derive(Debug)]
    pub struct Carried<F> {
        #[pin]
        work: F,
        trace: Option<TraceContext>,
    }
}

impl<F: Future> Future for Carried<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        within(*this.trace, || this.work.poll(cx))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_example_of_the_specification_is_read_and_written() {
        let context: TraceContext = EXAMPLE.parse().unwrap();
        assert_eq!(context.to_string(), EXAMPLE);
        assert_eq!(context.trace().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(
            context.span_bytes(),
            [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]
        );
        assert!(context.is_sampled());
        let passed_on = context.sampled(Sampling::PassedOn).to_string();
        assert_eq!(passed_on, EXAMPLE.replace("-01", "-00"));
    }

    #[test]
    fn what_is_no_traceparent_is_none() {
        for wrong in [
            "",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "0g-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ] {
            assert_eq!(wrong.parse::<TraceContext>(), Err(NoTrace), "{wrong}");
        }
        assert_eq!(TraceContext::read(&[0xff; TEXT_BYTES]), None);
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = format!("cc{}-what-comes-later", &EXAMPLE[2..]);
        let context: TraceContext = later.parse().unwrap();
        assert_eq!(context.to_string(), EXAMPLE);
        let all_flags = EXAMPLE.replace("-01", "-ff");
        assert_eq!(all_flags.parse::<TraceContext>().unwrap().to_string(), EXAMPLE);
    }

    #[test]
    fn a_name_has_the_same_span_everywhere() {
        let context: TraceContext = EXAMPLE.parse().unwrap();
        assert_eq!(context.named(b"a"), context.named(b"a"));
        assert_ne!(context.named(b"a"), context.named(b"b"));
        assert_eq!(context.named(b"a").trace(), context.trace());
    }

    #[test]
    fn what_is_done_within_a_trace_knows_it_and_nothing_else_does() {
        let mut rng = StdRng::seed_from_u64(1);
        let (outer, inner) = (TraceContext::begin(&mut rng), TraceContext::begin(&mut rng));
        within(Some(outer), || {
            assert_eq!(current(), Some(outer));
            within(Some(inner), || assert_eq!(current(), Some(inner)));
            within(None, || assert_eq!(current(), None));
            assert_eq!(current(), Some(outer));
        });
        let panicked = std::panic::catch_unwind(|| within(Some(outer), || panic!("at work")));
        assert!(panicked.is_err());
        assert_eq!(current(), None, "a panic leaves no trace behind");
    }

    #[tokio::test]
    async fn work_that_is_carried_on_elsewhere_keeps_its_trace() {
        let context: TraceContext = EXAMPLE.parse().unwrap();
        let work = within(Some(context), || {
            carried(async {
                tokio::task::yield_now().await;
                current()
            })
        });
        assert_eq!(tokio::spawn(work).await.unwrap(), Some(context));
        assert_eq!(current(), None);
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(text in any::<String>()) {
            let _ = text.parse::<TraceContext>();
        }

        #[test]
        fn what_is_written_is_read_again(seed in any::<u64>()) {
            let context = TraceContext::begin(&mut StdRng::seed_from_u64(seed));
            let context = context.sampled(if seed % 2 == 0 { Sampling::Recorded } else { Sampling::PassedOn });
            prop_assert_eq!(context.to_string().parse(), Ok(context));
            prop_assert_eq!(context.to_string().len(), TEXT_BYTES);
        }
    }
}
