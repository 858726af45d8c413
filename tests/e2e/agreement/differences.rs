//! Where our session and Baileys differ, and why that is right.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};

use super::compare::{Findings, How, Place};

/// A difference that is known.
pub(super) struct Difference {
    /// Of what.
    kind: &'static str,
    /// In which of its fields; an empty one is the whole thing.
    fields: &'static [&'static str],
    how: How,
    /// During which actions; none where it is so each time.
    during: &'static [&'static str],
    why: &'static str,
}

/// Where a file lies, and what opens it.
const OF_FILES: &[&str] = &[
    "content.directPath",
    "content.fileEncSha256",
    "content.fileSha256",
    "content.mediaKey",
    "content.mediaKeyTimestamp",
    "content.url",
];

/// All of them.
const DIFFERENCES: &[Difference] = &[
    Difference {
        kind: "about",
        fields: &[""],
        how: How::OursAlone,
        during: &[],
        why: "Baileys does not read this notification",
    },
    Difference {
        kind: "asks to join",
        fields: &["at"],
        how: How::OursAlone,
        during: &[],
        why: "When it was; Baileys leaves it out",
    },
    Difference {
        kind: "business name",
        fields: &[""],
        how: How::OursAlone,
        during: &[],
        why: "Baileys does not read this notification",
    },
    Difference {
        kind: "call",
        fields: &["callerName", "reason"],
        how: How::OursAlone,
        during: &[],
        why: "The caller's name, and WhatsApp's word for why the call ended, are on the wire; Baileys leaves them out",
    },
    Difference {
        kind: "call",
        fields: &["status"],
        how: How::Otherwise,
        during: &["it ends", "it is hung up", "it is rejected", "it is taken"],
        why: "Fanfare says what became of the call: `accept` or `reject` on another device, `missed`; Baileys repeats the stanza: `terminate`, `timeout`",
    },
    Difference {
        kind: "chat called",
        fields: &[""],
        how: How::TheirsAlone,
        during: &[],
        why: "`groups.update` says it",
    },
    Difference {
        kind: "chat cleared",
        fields: &[""],
        how: How::OursAlone,
        during: &[],
        why: "Baileys does not read this record of the app state",
    },
    Difference {
        kind: "chat made",
        fields: &[""],
        how: How::TheirsAlone,
        during: &[],
        why: "`groups.upsert` says it",
    },
    Difference {
        kind: "chat written in",
        fields: &[""],
        how: How::TheirsAlone,
        during: &["a status", "a status with a picture", "our session writes"],
        why: "Statuses are in no chat",
    },
    Difference {
        kind: "click",
        fields: &[""],
        how: How::OursAlone,
        during: &[],
        why: "`message.link_click` is an event beyond; Baileys leaves what led to a chat in the message",
    },
    Difference {
        kind: "contact name",
        fields: &[""],
        how: How::OursAlone,
        during: &[
            "a contact is removed",
            "a text",
            "a text behind an advertisement",
            "a text by another name",
            "a text of somebody by hidden id",
        ],
        why: "`contactName` is what to call somebody: the name that they go by until the account saves another. That a contact was removed Baileys does not tell",
    },
    Difference {
        kind: "deletion",
        fields: &["chat"],
        how: How::Otherwise,
        during: &["a status is deleted"],
        why: "A status is told by who published it",
    },
    Difference {
        kind: "deletion",
        fields: &["sender"],
        how: How::TheirsAlone,
        during: &["a status is deleted"],
        why: "A status is told by who published it, in `wuid`",
    },
    Difference {
        kind: "deletion",
        fields: &["deletedBy"],
        how: How::OursAlone,
        during: &[],
        why: "Who deleted what another wrote",
    },
    Difference {
        kind: "deletion",
        fields: &["sender"],
        how: How::Otherwise,
        during: &["an admin deletes it"],
        why: "Fanfare says who wrote the message; Baileys puts the admin in their place",
    },
    Difference {
        kind: "end of the past",
        fields: &[""],
        how: How::TheirsAlone,
        during: &[],
        why: "Each piece of the past ends with `history.progress`",
    },
    Difference {
        kind: "group",
        fields: &["at"],
        how: How::OursAlone,
        during: &[],
        why: "When the change was, beside when the group was made",
    },
    Difference {
        kind: "group",
        fields: &["asksToJoin"],
        how: How::Otherwise,
        during: &[],
        why: "Baileys takes the setting as on wherever the stanza names it, also as off",
    },
    Difference {
        kind: "group gone",
        fields: &[""],
        how: How::OursAlone,
        during: &[],
        why: "Baileys does not read it",
    },
    Difference {
        kind: "members",
        fields: &["action"],
        how: How::Otherwise,
        during: &["somebody leaves"],
        why: "Fanfare tells who left by themselves from who was removed",
    },
    Difference {
        kind: "members",
        fields: &["at"],
        how: How::OursAlone,
        during: &[],
        why: "When it was; Baileys leaves it out",
    },
    Difference {
        kind: "message",
        fields: &[""],
        how: How::TheirsAlone,
        during: &[
            "a history of 500 chats",
            "messages of a group disappear",
            "our session writes",
        ],
        why: "What the account's own devices tell each other (keys, the history) is no message for people",
    },
    Difference {
        kind: "message",
        fields: &[
            "content.contextInfo.conversionSource",
            "content.contextInfo.entryPointConversionSource",
            "content.contextInfo.externalAdReply.ctwaClid",
            "content.contextInfo.externalAdReply.sourceId",
            "content.contextInfo.externalAdReply.sourceType",
            "content.contextInfo.externalAdReply.sourceUrl",
            "content.contextInfo.externalAdReply.title",
        ],
        how: How::TheirsAlone,
        during: &[],
        why: "Told by `message.link_click`",
    },
    Difference {
        kind: "message",
        fields: &[
            "content.contextInfo.expiration",
            "content.contextInfo.forwardingScore",
            "content.nativeFlowResponseMessage.version",
        ],
        how: How::TheirsAlone,
        during: &[],
        why: "Of no use to a receiver",
    },
    Difference {
        kind: "message",
        fields: &["content.listType"],
        how: How::TheirsAlone,
        during: &["a row of a list"],
        why: "Of no use to a receiver",
    },
    Difference {
        kind: "message",
        fields: OF_FILES,
        how: How::TheirsAlone,
        during: &[],
        why: "Where a file lies and its keys stay with Fanfare, which fetches and opens it: `GET …/messages/{messageId}/media`",
    },
    Difference {
        kind: "message",
        fields: &["content.type"],
        how: How::TheirsAlone,
        during: &["a pressed button"],
        why: "Of no use to a receiver",
    },
    Difference {
        kind: "message",
        fields: &["content.nativeFlowResponseMessage.params.id"],
        how: How::OursAlone,
        during: &[],
        why: "`paramsJson`, read",
    },
    Difference {
        kind: "message",
        fields: &["content.vote.encIv", "content.vote.encPayload"],
        how: How::TheirsAlone,
        during: &[],
        why: "Votes are told opened",
    },
    Difference {
        kind: "message",
        fields: &["content.vote.selectedOptions"],
        how: How::OursAlone,
        during: &[],
        why: "Baileys leaves votes sealed",
    },
    Difference {
        kind: "message",
        fields: &["sourceDevice"],
        how: How::OursAlone,
        during: &[],
        why: "By the form of the message's id",
    },
    Difference {
        kind: "message",
        fields: &["status"],
        how: How::TheirsAlone,
        during: &[],
        why: "What another device of the account wrote is with the server: Fanfare tells a status where it changes",
    },
    Difference {
        kind: "message",
        fields: &["content.key.participant"],
        how: How::TheirsAlone,
        during: &["a reaction", "a reaction taken back", "a reaction to one's own"],
        why: "Baileys has an empty text here in a chat of two",
    },
    Difference {
        kind: "message",
        fields: &["content.pollCreationMessageKey.participant"],
        how: How::TheirsAlone,
        during: &["a vote", "a vote taken back"],
        why: "In a chat of two the chat and `fromMe` say who wrote the poll",
    },
    Difference {
        kind: "note of a chat",
        fields: &[""],
        how: How::TheirsAlone,
        during: &[],
        why: "Baileys makes messages of what changes in groups and of missed calls; both tell it by events of their own",
    },
    Difference {
        kind: "past chat",
        fields: &["archived", "pinned"],
        how: How::OursAlone,
        during: &[],
        why: "Told as false where the phone says nothing",
    },
    Difference {
        kind: "past message",
        fields: &["sourceDevice"],
        how: How::OursAlone,
        during: &[],
        why: "By the form of the message's id",
    },
    Difference {
        kind: "picture",
        fields: &[""],
        how: How::TheirsAlone,
        during: &["a group has a picture"],
        why: "Baileys tells a group's picture as a contact's, too; Fanfare as `picture` of `groups.update`",
    },
    Difference {
        kind: "progress of the past",
        fields: &[""],
        how: How::OursAlone,
        during: &[],
        why: "An event beyond: a piece of the past is taken in",
    },
    Difference {
        kind: "push name",
        fields: &[""],
        how: How::TheirsAlone,
        during: &[
            "a contact",
            "a deletion",
            "a deletion in a group",
            "a document",
            "a document with a caption",
            "a film",
            "a forwarded text",
            "a link",
            "a list",
            "a moving picture",
            "a picture",
            "a picture to be seen once",
            "a place",
            "a place that moves",
            "a poll in a group",
            "a poll of the first form",
            "a poll of the third form",
            "a pressed button",
            "a pressed button of a flow",
            "a pressed button of a template",
            "a reaction",
            "a reaction in a group",
            "a reaction taken back",
            "a reaction to one's own",
            "a round film",
            "a row of a list",
            "a sound",
            "a status",
            "a status is deleted",
            "a status with a picture",
            "a sticker",
            "a text in a group",
            "a text of another member",
            "a text that disappears",
            "a text to be starred",
            "a voice note",
            "a vote",
            "a vote in a group",
            "a vote taken back",
            "an admin deletes it",
            "an answer",
            "an edit",
            "an edit in a group",
            "an event",
            "an invitation",
            "another text",
            "buttons",
            "two contacts",
        ],
        why: "Baileys tells the name with each message, Fanfare when it is another one",
    },
    Difference {
        kind: "queue",
        fields: &[""],
        how: How::OursAlone,
        during: &[],
        why: "Fanfare sent it itself, and tells what becomes of it by the events of its queue",
    },
    Difference {
        kind: "reaction",
        fields: &["at"],
        how: How::OursAlone,
        during: &[],
        why: "The second at which the server has it; Baileys has the sender's own clock, if it is told at all",
    },
    Difference {
        kind: "receipt",
        fields: &[""],
        how: How::OursAlone,
        during: &["our session writes"],
        why: "`SERVER_ACK` of what our own session wrote: Baileys hears of the message when the server has it",
    },
    Difference {
        kind: "security code",
        fields: &[""],
        how: How::OursAlone,
        during: &[],
        why: "`contact.identity` is an event beyond",
    },
    Difference {
        kind: "setting of a group",
        fields: &[""],
        how: How::OursAlone,
        during: &["a group has a picture", "messages of a group disappear"],
        why: "Of a picture Baileys tells as of a contact's, and of disappearing messages by a message of the group",
    },
    Difference {
        kind: "setting of a group",
        fields: &["at"],
        how: How::OursAlone,
        during: &[],
        why: "When it was; Baileys leaves it out",
    },
    Difference {
        kind: "status",
        fields: &[""],
        how: How::TheirsAlone,
        during: &["a status is deleted"],
        why: "Told by `messages.delete` alone",
    },
    Difference {
        kind: "status",
        fields: OF_FILES,
        how: How::TheirsAlone,
        during: &[],
        why: "Where a file lies and its keys stay with Fanfare, which fetches and opens it: `GET …/messages/{messageId}/media`",
    },
    Difference {
        kind: "status",
        fields: &["fromGroup", "sourceDevice"],
        how: How::OursAlone,
        during: &[],
        why: "As with messages",
    },
    Difference {
        kind: "vote",
        fields: &[""],
        how: How::OursAlone,
        during: &[],
        why: "`poll.vote` is an event beyond: Baileys leaves votes sealed",
    },
];

/// The findings are those of the table, all of them, and no others.
pub(super) fn are_all(findings: &Findings) -> Result<()> {
    let mut wrong = Vec::new();
    let mut known = BTreeMap::new();
    for difference in DIFFERENCES {
        for field in difference.fields {
            let place = Place {
                kind: difference.kind.to_owned(),
                field: (*field).to_owned(),
                how: difference.how,
            };
            known.insert(place, difference);
        }
    }
    for (place, (actions, example)) in &findings.differences {
        let agreed = findings.agreed.get(&(place.kind.clone(), place.field.clone()));
        match known.remove(place) {
            None => wrong.push(format!(
                "new: {place:?} during {actions:?}, agreed {agreed:?}: {example}"
            )),
            Some(row) if row.during.is_empty() => {
                if let Some(times) = agreed {
                    wrong.push(format!(
                        "{place:?} is not so each time: {times} agreed; so during {actions:?}"
                    ));
                }
            }
            Some(row) => {
                let named = row.during.iter().copied().collect();
                if *actions != named {
                    wrong.push(format!("{place:?}: during {actions:?}, and not {named:?}"));
                }
            }
        }
    }
    wrong.extend(known.keys().map(|place| format!("no more: {place:?}")));
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The table as the page has it.
fn rows() -> String {
    let mut page = String::from("| of | which of its fields | | during | why |\n|---|---|---|---|---|\n");
    for row in DIFFERENCES {
        let fields = match row.fields {
            [""] => "all of it".to_owned(),
            fields => list(fields),
        };
        let during = match row.during {
            [] => "each time".to_owned(),
            during => during.join("; "),
        };
        let (kind, how, why) = (row.kind, row.how.words(), row.why);
        page.push_str(&format!("| {kind} | {fields} | {how} | {during} | {why} |\n"));
    }
    page
}

fn list(fields: &[&str]) -> String {
    let fields: Vec<_> = fields.iter().map(|field| format!("`{field}`")).collect();
    fields.join(", ")
}

/// The end of the page is made of the table; `UPDATE_SCHEMAS=1` writes it.
#[test]
fn the_page_has_the_table() {
    const TITLE: &str = "## Differences\n\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/AGREEMENT.md");
    let page = fs::read_to_string(&path).expect("docs/AGREEMENT.md");
    let (above, _) = page.split_once(TITLE).expect("its title");
    let wanted = format!("{above}{TITLE}{}", rows());
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        fs::write(path, wanted).expect("written");
    } else {
        assert!(
            page == wanted,
            "docs/AGREEMENT.md is not of the table: UPDATE_SCHEMAS=1 writes it"
        );
    }
}
