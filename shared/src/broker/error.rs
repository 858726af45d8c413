//! Why the broker did not do what was asked.

use std::time::Duration;

/// How long any single request to the broker may take.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

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
