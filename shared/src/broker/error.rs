//! Why the broker did not do what was asked.

/// Why the broker did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BrokerError {
    /// It can't be reached now; a supervisor keeps trying.
    #[error("the broker is not available: {0}")]
    Unavailable(String),
    /// It refused: an object exists with other arguments, or the user lacks rights. Somebody must act.
    #[error("the broker refused: {0}")]
    Refused(String),
    /// The URL is not one of a broker.
    #[error("AMQP_URL is not usable: {0}")]
    Url(String),
}

impl BrokerError {
    /// What somebody who can't start because of it is to look at.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "is RabbitMQ running, and is the address in AMQP_URL right?",
            Self::Refused(_) => {
                "check user, password and virtual host in AMQP_URL; if an object exists with other arguments (another \
                 SHARDS or release), delete it or set another AMQP_PREFIX"
            }
            Self::Url(_) => "correct it: amqp://user:password@host:5672/%2f",
        }
    }
}

impl From<lapin::Error> for BrokerError {
    fn from(error: lapin::Error) -> Self {
        match error.kind() {
            lapin::ErrorKind::ProtocolError(protocol)
                if matches!(protocol.kind(), lapin::protocol::AMQPErrorKind::Soft(_)) =>
            {
                Self::Refused(protocol.get_message().to_string())
            }
            lapin::ErrorKind::ProtocolError(protocol) => {
                // Wrong password and missing virtual host come as hard errors, and waiting won't help.
                let refused = [403, 530].contains(&protocol.get_id());
                let message = protocol.get_message().to_string();
                if refused {
                    Self::Refused(message)
                } else {
                    Self::Unavailable(message)
                }
            }
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

/// Why a message is not known to be with the broker.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PublishError {
    /// It was not published: there is no connection. Try again.
    #[error("the broker is not available: {0}")]
    Unavailable(String),
    /// It may be published or not. Try again under the same message id.
    #[error("the broker did not confirm in time")]
    Unconfirmed,
    /// The broker can't store it now. Try again later.
    #[error("the broker refused the message: a queue that takes it is full, or it can't store it")]
    Refused,
    /// No queue takes it (only where asked: [`Outgoing::mandatory`](super::Outgoing::mandatory)).
    #[error("no queue takes the message")]
    Unroutable,
    /// It can't be published at all: the body is over the limit, or a property over 255 bytes.
    #[error("the message is too large: {0}")]
    TooLarge(&'static str),
}
