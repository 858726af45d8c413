//! An example of each operation: what it is asked, what it answers, what it refuses.
//!
//! A file per family, made from the types that go over the wire. The tests send each to the API.

mod calls;
mod chats;
mod legacy;
mod media;
mod messages;
mod names;
mod operation;
mod profile;
mod queues;
mod schedules;
mod sends;
mod sessions;
mod webhooks;

use serde_json::{Value, json};

#[cfg(test)]
pub(crate) use media::FILE;
pub use names::*;
pub use operation::{Examples, Refusal, Shown};
#[cfg(test)]
pub(crate) use profile::profile;
#[cfg(test)]
pub(crate) use sessions::group_metadata;

/// All examples.
pub fn all() -> Vec<Examples> {
    let mut all = sessions::all();
    all.extend(messages::all());
    all.extend(media::all());
    all.extend(queues::all());
    all.extend(schedules::all());
    all.extend(chats::all());
    all.extend(profile::all());
    all.extend(calls::all());
    all.extend(webhooks::all());
    all.extend(legacy::all());
    all.extend(sends::all());
    all
}

/// Puts the examples into a document at their operations.
pub fn attach(document: &mut Value) {
    for examples in all() {
        let Some((method, path)) = examples.operation.split_once(' ') else {
            continue;
        };
        let Some(operation) = document["paths"]
            .get_mut(path)
            .and_then(|path| path.get_mut(method))
        else {
            continue;
        };
        show(operation, &examples);
    }
}

/// The value that a part of a path has in the examples, by its name.
pub fn path_part(name: &str) -> Option<&'static str> {
    Some(match name {
        "token" => TOKEN,
        "queue" => QUEUE,
        "schedule" => SCHEDULE,
        "message" => MESSAGE,
        "webhook" => WEBHOOK,
        "media" => MEDIA,
        "delivery" => DELIVERY,
        "label" => "7",
        "call" => "2A1B3C4D5E6F708192A3B4C5D6E7F809",
        "number" | "chat" | "person" => ANA,
        _ => return None,
    })
}

fn show(operation: &mut Value, examples: &Examples) {
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        if parameter["in"] == "path"
            && let Some(part) = parameter["name"].as_str().and_then(path_part)
        {
            parameter["example"] = part.into();
        }
    }
    if let Some(request) = &examples.request {
        operation["requestBody"]["content"]["application/json"]["example"] = request.clone();
    }
    for answer in &examples.answers {
        let content = &mut operation["responses"][answer.status.to_string()]["content"];
        content[answer.media_type]["examples"][answer.name] = json!({ "value": answer.body });
    }
    for refusal in &examples.refusals {
        let (media_type, body) = examples.refused(&refusal.problem);
        let code = refusal.problem.code();
        let content = &mut operation["responses"]["default"]["content"][media_type];
        content["examples"][code.as_str()] = json!({ "summary": code.title(), "value": body });
    }
}
