//! The stanzas that end a connection, read as a [`CloseReason`] (docs/PROTOCOL.md, "Ends of a stream").

use std::time::Duration;

use crate::{binary::Node, message_id::MessageId, reason::CloseReason, version::ClientVersion};

/// What `<stream:error>`, `<failure>` and `<xmlstreamend/>` mean to a client of this version; `None` for every other
/// stanza.
pub(super) fn end(node: &Node, version: ClientVersion) -> Option<CloseReason> {
    match node.tag() {
        "stream:error" => Some(stream_error(node)),
        "failure" => Some(failure(node, version)),
        "xmlstreamend" => Some(CloseReason::StreamEnd),
        _ => None,
    }
}

/// The message whose receipt the server missed when it ended the stream, if it says that.
pub(super) fn missed_message(node: &Node) -> Option<MessageId> {
    let ack = node.child("ack").filter(|_| node.is("stream:error"))?;
    let id = ack.attr_str("id").filter(|_| ack.attr_is("class", "message"))?;
    id.parse().ok()
}

fn stream_error(node: &Node) -> CloseReason {
    let code: Option<u16> = node.attr_number("code");
    if let Some(conflict) = node.child("conflict") {
        return match conflict.attr_str("type").as_deref() {
            Some("replaced") | None => CloseReason::Replaced,
            Some(_) => CloseReason::LoggedOut {
                code: code.unwrap_or(401),
            },
        };
    }
    match code {
        Some(515) => CloseReason::RestartRequired,
        Some(code @ (401 | 516)) => CloseReason::LoggedOut { code },
        Some(409) => CloseReason::Replaced,
        Some(429) => CloseReason::Throttled,
        Some(code @ (500 | 503)) => CloseReason::ServerError { code },
        None if node.child("ack").is_some() => CloseReason::AckMissing,
        code => CloseReason::StreamError { code },
    }
}

fn failure(node: &Node, version: ClientVersion) -> CloseReason {
    match node.attr_number("reason").unwrap_or(500) {
        code @ (401 | 403 | 406) => CloseReason::LoggedOut { code },
        402 => CloseReason::TemporaryBan {
            code: node.attr_number("code").unwrap_or(0),
            expires: node.attr_u64("expire").map(Duration::from_secs),
        },
        405 => CloseReason::ClientOutdated { version },
        409 => CloseReason::BadUserAgent,
        code @ (500 | 503) => CloseReason::ServerError { code },
        reason => CloseReason::LoginRefused { reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Next;

    fn check(node: Node, expected: CloseReason, next: Next) {
        let reason = end(&node, ClientVersion::KNOWN).unwrap();
        assert_eq!(reason, expected);
        assert_eq!(reason.action(), next, "{reason}");
    }

    fn error(code: u16) -> Node {
        Node::new("stream:error").attr("code", code.to_string())
    }

    fn failed(reason: u16) -> Node {
        Node::new("failure").attr("reason", reason.to_string())
    }

    #[test]
    fn each_stream_error_has_its_reason() {
        check(error(515), CloseReason::RestartRequired, Next::ReconnectNow);
        check(error(516), CloseReason::LoggedOut { code: 516 }, Next::LoggedOut);
        check(error(401), CloseReason::LoggedOut { code: 401 }, Next::LoggedOut);
        check(error(409), CloseReason::Replaced, Next::Stop);
        check(error(429), CloseReason::Throttled, Next::ReconnectSlowly);
        check(
            error(500),
            CloseReason::ServerError { code: 500 },
            Next::Reconnect,
        );
        check(
            error(503),
            CloseReason::ServerError { code: 503 },
            Next::Reconnect,
        );
        check(
            error(499),
            CloseReason::StreamError { code: Some(499) },
            Next::Reconnect,
        );
        let removed = error(401).with_child(Node::new("conflict").attr("type", "device_removed"));
        check(removed, CloseReason::LoggedOut { code: 401 }, Next::LoggedOut);
        let replaced = Node::new("stream:error").with_child(Node::new("conflict").attr("type", "replaced"));
        check(replaced, CloseReason::Replaced, Next::Stop);
        let ack = Node::new("stream:error").with_child(Node::new("ack").attr("class", "receipt"));
        check(ack, CloseReason::AckMissing, Next::Reconnect);
        let not_well_formed = Node::new("stream:error").with_child(Node::new("xml-not-well-formed"));
        check(
            not_well_formed,
            CloseReason::StreamError { code: None },
            Next::Reconnect,
        );
        check(Node::new("xmlstreamend"), CloseReason::StreamEnd, Next::Reconnect);
    }

    #[test]
    fn each_failure_has_its_reason() {
        for code in [401, 403, 406] {
            check(failed(code), CloseReason::LoggedOut { code }, Next::LoggedOut);
        }
        for reason in [400, 413, 414, 415, 418, 501] {
            check(failed(reason), CloseReason::LoginRefused { reason }, Next::Stop);
        }
        let version = ClientVersion::KNOWN;
        check(
            failed(405).attr("location", "frc"),
            CloseReason::ClientOutdated { version },
            Next::ReconnectNewer,
        );
        check(failed(409), CloseReason::BadUserAgent, Next::Stop);
        for code in [500, 503] {
            check(failed(code), CloseReason::ServerError { code }, Next::Reconnect);
        }
        check(
            Node::new("failure"),
            CloseReason::ServerError { code: 500 },
            Next::Reconnect,
        );
        let expires = Some(Duration::from_secs(3_600));
        let ban = failed(402).attr("code", "104").attr("expire", "3600");
        check(ban, CloseReason::TemporaryBan { code: 104, expires }, Next::Stop);
    }

    #[test]
    fn only_a_missed_message_is_remembered() {
        let missed = |class: &'static str, id: &'static str| {
            let ack = Node::new("ack")
                .attr("class", class)
                .attr("type", "text")
                .attr("id", id);
            missed_message(&Node::new("stream:error").with_child(ack))
        };
        assert_eq!(missed("message", "3EB0"), "3EB0".parse().ok());
        assert_eq!(missed("receipt", "3EB0"), None);
        assert_eq!(missed("message", "no id"), None);
        assert_eq!(missed_message(&Node::new("stream:error")), None);
    }

    #[test]
    fn other_stanzas_end_nothing() {
        assert_eq!(end(&Node::new("success"), ClientVersion::KNOWN), None);
    }
}
