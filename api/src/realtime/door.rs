//! Who is let in, and which sessions' events a client gets.
//!
//! There is one key, so who has it may ask for every session; nobody gets what they did not ask for.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use shared::clock::Clock;
use shared::event::socket::{JoinAnswer, Joined};
use shared::id::Token;
use socketioxide::extract::SocketRef;
use tokio::time::Instant;

use super::client::Client;
use super::watching::Watching;
use crate::app::App;
use crate::auth::{self, Scheme};
use crate::settings::SocketLimits;

/// Longest between a connection's begin and its key.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// What a client asks for to get the events of all sessions.
pub(super) const ALL: &str = "*";
/// Most tokens that one client may join.
const TOKENS_MAX: usize = 1_000;
/// Most connections that are begun within [`CONNECT_TIMEOUT`].
const ENTRANCES: usize = 2_048;

/// Lets clients in.
pub(super) struct Door {
    app: Arc<App>,
    origins: Arc<[HeaderValue]>,
    watching: Arc<Watching>,
    limits: SocketLimits,
}

/// Why a client is not let in, or does not get what it asks for.
#[derive(Debug)]
pub(super) struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Door {
    pub(super) fn new(
        app: Arc<App>,
        origins: &[HeaderValue],
        watching: Arc<Watching>,
        limits: SocketLimits,
    ) -> Self {
        Self {
            app,
            origins: origins.into(),
            watching,
            limits,
        }
    }

    /// Lets a client in that has the key, when events come in for it.
    pub(super) async fn admit(&self, socket: &SocketRef, auth: Option<Value>) -> Result<(), Refused> {
        let auth = auth.unwrap_or(Value::Null);
        self.check(socket, &auth)?;
        let rooms = match &auth["tokens"] {
            Value::Null => Vec::new(),
            tokens => rooms("auth.tokens", tokens)?,
        };
        let Some(place) = self.watching.place() else {
            return Err(Refused(
                "too many clients are connected (SOCKET_CLIENTS); try again later".into(),
            ));
        };
        if !self.watching.opened().await {
            return Err(Refused("events can't be read at this moment; try again".into()));
        }
        socket
            .extensions
            .insert(Client::new(place, rooms, self.limits.backlog));
        Ok(())
    }

    fn check(&self, socket: &SocketRef, auth: &Value) -> Result<(), Refused> {
        let (key, headers) = (&self.app.key, &socket.req_parts().headers);
        // A browser lets any page connect a WebSocket: nobody but we can ask on whose behalf.
        if !key.is_open() && !auth::may_ask(headers, &self.origins) {
            let text = "pages of this origin are not let in; name it in ORIGIN";
            return Err(Refused(text.into()));
        }
        match &auth["key"] {
            Value::String(offered) if key.admits(offered) => Ok(()),
            Value::String(_) if !key.is_open() => Err(Refused("auth.key: the key is not right".into())),
            Value::Null | Value::String(_) => {
                let checked = key.check(headers, Scheme::BasicOrBearer, &self.origins);
                checked.map_err(|problem| Refused(format!("{}; or send it as auth.key", problem.detail())))
            }
            _ => Err(Refused("auth.key: must be a string".into())),
        }
    }
}

/// Puts a client into the rooms that it asked for when it came, and tells it which.
pub(super) fn enter_rooms(socket: &SocketRef, client: &Client) {
    socket.join(client.rooms().to_vec());
    // Who left meanwhile needs no answer; there is room for the first packets.
    let told = Joined {
        tokens: joined(socket),
    };
    let _ = socket.emit("joined", &told);
}

/// Gives a client the events of more sessions; answers of which it has them now.
pub(super) fn join(socket: &SocketRef, wanted: Option<&Value>) -> Result<Vec<String>, Refused> {
    let more = rooms("tokens", wanted.unwrap_or(&Value::Null))?;
    let present = socket.rooms();
    let new = more
        .iter()
        .filter(|room| !present.iter().any(|had| *had == room.as_str()));
    if present.len() + new.count() > TOKENS_MAX + 1 {
        return Err(Refused(format!(
            "tokens: a client may join at most {TOKENS_MAX}; ask for {ALL}"
        )));
    }
    socket.join(more);
    Ok(joined(socket))
}

/// Takes the events of some sessions away from a client again.
pub(super) fn leave(socket: &SocketRef, left: Option<&Value>) -> Result<Vec<String>, Refused> {
    socket.leave(rooms("tokens", left.unwrap_or(&Value::Null))?);
    Ok(joined(socket))
}

/// What a client is answered.
pub(super) fn answer(done: Result<Vec<String>, Refused>) -> JoinAnswer {
    let status = done.is_ok();
    let (tokens, message) = match done {
        Ok(tokens) => (Some(tokens), None),
        Err(refused) => (None, Some(refused.to_string())),
    };
    JoinAnswer {
        status,
        tokens,
        message,
    }
}

/// The room of a session's events.
pub(super) fn room(token: &str) -> String {
    format!("token {token}")
}

fn joined(socket: &SocketRef) -> Vec<String> {
    let rooms = socket.rooms();
    let tokens = rooms.iter().filter_map(|room| match room.as_ref() {
        ALL => Some(ALL),
        room => room.strip_prefix("token "),
    });
    let mut tokens: Vec<_> = tokens.map(str::to_owned).collect();
    tokens.sort_unstable();
    tokens
}

/// The rooms of the tokens in `value`, a text or an array of them.
fn rooms(field: &str, value: &Value) -> Result<Vec<String>, Refused> {
    let one = |value: &Value, field: &str| match value.as_str() {
        Some(ALL) => Ok(ALL.to_owned()),
        Some(text) => match Token::new(text) {
            Ok(token) => Ok(room(token.as_str())),
            Err(error) => Err(Refused(format!("{field}: {error}"))),
        },
        None => Err(Refused(format!(
            "{field}: must be a session's token, or {ALL} for all"
        ))),
    };
    match value {
        Value::Array(many) if many.len() > TOKENS_MAX => {
            Err(Refused(format!("{field}: at most {TOKENS_MAX}; ask for {ALL}")))
        }
        Value::Array(many) => {
            let many = many.iter().enumerate();
            many.map(|(at, value)| one(value, &format!("{field}[{at}]")))
                .collect()
        }
        value => Ok(vec![one(value, field)?]),
    }
}

/// Room for connections that are begun and have not shown a key: when each of the latest began.
#[derive(Debug)]
pub(super) struct Entrances {
    clock: Clock,
    begun: Mutex<VecDeque<Instant>>,
}

impl Entrances {
    pub(super) fn new(clock: Clock) -> Self {
        let begun = Mutex::default();
        Self { clock, begun }
    }

    /// Whether one more may begin. By [`CONNECT_TIMEOUT`] it has shown a key, or the transport has let it go.
    fn take(&self) -> bool {
        let now = self.clock.now();
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        while begun.front().is_some_and(|first| now - *first >= CONNECT_TIMEOUT) {
            begun.pop_front();
        }
        let room = begun.len() < ENTRANCES;
        if room {
            begun.push_back(now);
        }
        room
    }
}

/// Passes what belongs to a connection; begins no more at a time than there is room for.
pub(super) async fn enter(State(entrances): State<Arc<Entrances>>, request: Request, next: Next) -> Response {
    let query = request.uri().query().unwrap_or_default();
    if query.split('&').any(|pair| pair.starts_with("sid=")) || entrances.take() {
        return next.run(request).await;
    }
    let wait = CONNECT_TIMEOUT.as_secs().to_string();
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, wait)]).into_response()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn connections_begin_as_those_before_have_had_their_time() {
        let entrances = Entrances::new(Clock::system());
        for _ in 0..ENTRANCES - 1 {
            assert!(entrances.take());
        }
        tokio::time::sleep(CONNECT_TIMEOUT / 2).await;
        assert!(entrances.take());
        assert!(!entrances.take());
        tokio::time::sleep(CONNECT_TIMEOUT / 2).await;
        for _ in 0..ENTRANCES - 1 {
            assert!(entrances.take());
        }
        assert!(!entrances.take(), "one began half the time ago");
    }

    #[test]
    fn a_client_names_its_tokens_one_by_one_and_all_by_a_star() {
        assert_eq!(rooms("tokens", &json!("shop")).unwrap(), ["token shop"]);
        assert_eq!(
            rooms("tokens", &json!(["shop", "*"])).unwrap(),
            ["token shop", "*"]
        );
        for (wrong, told) in [
            (json!(null), "tokens: must be"),
            (json!({"token": "shop"}), "tokens: must be"),
            (json!(["shop", 5]), "tokens[1]: must be"),
            (json!(["shop", ""]), "tokens[1]: "),
            (json!(vec!["shop"; TOKENS_MAX + 1]), "tokens: at most 1000"),
        ] {
            let refused = rooms("tokens", &wrong).unwrap_err().to_string();
            assert!(refused.starts_with(told), "{refused}");
        }
    }
}
