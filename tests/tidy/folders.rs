//! The rooms of each crate (the folders and files right below `src`), and which of them each may use.
//!
//! A row names a room and those that it builds on; a room that is new, or a use that is not drawn, fails. The order of the
//! rows is that of docs/ARCHITECTURE.md: who stands above comes first, so no row names one above it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::{imports, root};

type Map = &'static [(&'static str, &'static str)];

/// The map of each crate that is deep enough to have one.
const MAPS: &[(&str, Map)] = &[
    (
        "api",
        &[
            (
                "serve",
                "realtime router app downloads settings listener uploads workers",
            ),
            ("realtime", "settings app auth"),
            (
                "router",
                "openapi asyncapi legacy v1 page idempotency app extract auth observe problem",
            ),
            ("asyncapi", ""),
            ("openapi", "legacy v1 paging tokens problem qr schema"),
            ("legacy", "v1 idempotency app jobs extract tokens problem qr"),
            (
                "v1",
                "idempotency app downloads jobs extract paging tokens problem schema uploads",
            ),
            ("idempotency", "app extract problem"),
            ("app", "downloads ids jobs auth tokens problem uploads"),
            ("jobs", "ids tokens problem"),
            ("doctor", "settings"),
            ("rekey", ""),
            ("probe", ""),
            ("settings", "auth downloads uploads"),
            ("downloads", ""),
            ("uploads", ""),
            ("extract", "problem"),
            ("paging", "problem"),
            ("auth", "problem"),
            ("page", "problem"),
            ("ids", ""),
            ("tokens", "problem"),
            ("listener", ""),
            ("observe", "problem"),
            ("problem", ""),
            ("qr", ""),
            ("schema", ""),
            ("workers", ""),
            ("lib", ""),
        ],
    ),
    (
        "shared",
        &[
            (
                "process",
                "survey telemetry store broker metrics config seal clock lifecycle random",
            ),
            ("survey", "store broker metrics config id clock random"),
            ("testing", "store broker config seal id clock random"),
            ("subscription", "store broker event config id"),
            ("telemetry", "store broker metrics config clock random trace"),
            (
                "store",
                "metrics event config job content proxy seal id clock named recipient trace waiting",
            ),
            ("broker", "metrics event config job id clock random trace"),
            ("metrics", "event job waiting id named"),
            ("event", "job content id named"),
            ("config", "job seal id"),
            ("job", "content id body clock named proxy recipient"),
            ("content", "body egress recipient id clock"),
            ("files", "id"),
            ("trace", ""),
            ("transfers", ""),
            ("seal", "id"),
            ("id", "clock"),
            ("waiting", "named"),
            ("body", "clock"),
            ("clock", ""),
            ("egress", ""),
            ("lifecycle", ""),
            ("named", ""),
            ("proxy", ""),
            ("random", ""),
            ("recipient", ""),
            ("schema", ""),
            ("lib", ""),
        ],
    ),
    (
        "worker",
        &[
            (
                "shard",
                "scheduler session committer job lease media version wake",
            ),
            ("session", "committer job lease media version"),
            ("committer", "wake"),
            ("job", ""),
            ("lease", ""),
            ("scheduler", ""),
            ("version", ""),
            ("wake", ""),
            ("webhook", "guard"),
            ("media", "guard"),
            ("guard", ""),
            ("lib", ""),
        ],
    ),
    (
        "worker/whatsapp",
        &[
            (
                "client",
                "connection part store unpacking event command device pairing proto reason version wire",
            ),
            (
                "connection",
                "history app_state groups messages tokens account e2e part stanza store unpacking crypto event pairing payload command device media profile signal sync_action proto reason version wire",
            ),
            (
                "history",
                "messages e2e part stanza store unpacking event payload command signal proto wire",
            ),
            (
                "app_state",
                "e2e part stanza store event device signal sync_action syncd proto wire",
            ),
            (
                "groups",
                "messages e2e part stanza store event command group device phash signal proto wire",
            ),
            (
                "messages",
                "tokens e2e part stanza store event command device phash hashing signal proto wire",
            ),
            ("tokens", "account e2e part stanza store device wire"),
            ("account", "part stanza event command device profile wire"),
            (
                "e2e",
                "part stanza store event pairing device hashing signal proto wire",
            ),
            (
                "part",
                "store unpacking event payload command device hashing signal reason version wire",
            ),
            ("stanza", "command event group signal proto wire"),
            ("store", "syncd event device signal wire"),
            ("unpacking", "event hashing poll proto wire"),
            ("crypto", "signal proto wire"),
            ("command", "event group pairing profile sync_action proto wire"),
            ("event", "group profile sync_action proto reason version wire"),
            ("sync_action", "syncd proto wire"),
            ("syncd", "proto"),
            ("pairing", "device signal proto"),
            ("payload", "device signal proto version"),
            ("group", "wire"),
            ("profile", "wire"),
            ("device", "signal wire"),
            ("phash", "wire"),
            ("poll", "proto wire"),
            ("signal", "wire"),
            ("hashing", ""),
            ("media", ""),
            ("proto", ""),
            ("reason", "version"),
            ("version", "wire"),
            ("wire", ""),
            ("lib", ""),
        ],
    ),
    (
        "tests/simulator",
        &[
            (
                "server",
                "control handle connection world crowd persona seed clock",
            ),
            (
                "control",
                "media page request handle world fault passkey population number refusal sharing",
            ),
            ("page", "handle world refusal"),
            ("media", "handle number refusal request world"),
            ("request", "number refusal"),
            (
                "handle",
                "world audit crowd fault passkey persona population seed number refusal sharing",
            ),
            ("connection", "world seed clock"),
            (
                "world",
                "audit crowd fault passkey persona population seed clock number refusal sharing timers",
            ),
            ("audit", "crowd number"),
            ("crowd", "persona population seed clock number timers"),
            ("fault", "number refusal"),
            ("passkey", "refusal"),
            ("persona", "seed number"),
            ("population", "number"),
            ("seed", "number"),
            ("clock", ""),
            ("number", ""),
            ("refusal", ""),
            ("sharing", ""),
            ("timers", ""),
            ("lib", ""),
        ],
    ),
];

#[test]
fn rooms_use_each_other_only_as_drawn() {
    for (folder, map) in MAPS {
        let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (file, uses) in imports::of_crate(&root().join(folder).join("src")) {
            let own = used.entry(room(&file)).or_default();
            own.extend(uses.keys().map(|other| room(other)));
        }
        for (name, mut uses) in used {
            uses.remove(&name);
            let row = map.iter().find(|(drawn, _)| *drawn == name);
            let (_, drawn) = row.unwrap_or_else(|| panic!("{folder}: {name} is not on the map"));
            let drawn: BTreeSet<String> = drawn.split_whitespace().map(str::to_owned).collect();
            assert_eq!(
                uses, drawn,
                "{folder}: what {name} uses (left) is not what is drawn (right)"
            );
        }
    }
}

#[test]
fn no_room_is_drawn_to_use_one_above_it() {
    for (folder, map) in MAPS {
        for (at, (name, uses)) in map.iter().enumerate() {
            for other in uses.split_whitespace() {
                let below = map[at + 1..].iter().any(|(lower, _)| *lower == other);
                assert!(
                    below,
                    "{folder}: {name} uses {other}, which does not stand below it"
                );
            }
        }
    }
}

fn room(file: &Path) -> String {
    let first = file
        .components()
        .next()
        .map(|part| part.as_os_str().to_string_lossy());
    first.unwrap_or_default().trim_end_matches(".rs").to_owned()
}
