//! What one door can do the others can: jobs over AMQP against operations over HTTP.

use std::collections::BTreeSet;

use shared::job::JobKind;

use crate::openapi;

/// Each kind of job, and the operations that ask for the same.
fn operations(kind: JobKind) -> &'static [&'static str] {
    match kind {
        JobKind::Send => &[
            "post /v1/messages",
            "post /v1/sessions/{token}/messages",
            "post /v1/sessions/{token}/queues",
            "post /api/whatsapp/send-text",
            "post /api/whatsapp/send-button-message",
            "post /api/whatsapp/send-template-message",
            "post /api/whatsapp/send-list-message",
            "post /api/whatsapp/send-reaction",
            "post /api/whatsapp/delete-for-every-one",
            "post /api/whatsapp/send-media",
        ],
        JobKind::Pause => &["post /v1/sessions/{token}/queues/{queue}/pause"],
        JobKind::Resume => &["post /v1/sessions/{token}/queues/{queue}/resume"],
        JobKind::Delete => &["delete /v1/sessions/{token}/queues/{queue}"],
        JobKind::Adopt => &["post /v1/sessions/{token}/queues/{queue}/adopt"],
        JobKind::Pace => &["patch /v1/sessions/{token}/queues/{queue}"],
        JobKind::Retry => &["post /v1/sessions/{token}/queues/{queue}/retry"],
        JobKind::Schedule => &[
            "post /v1/sessions/{token}/schedules",
            "post /api/whatsapp/scheduler/add-scheduler",
        ],
        JobKind::Unschedule => &[
            "delete /v1/sessions/{token}/schedules/{schedule}",
            "post /api/whatsapp/scheduler/stop-scheduler",
        ],
        JobKind::SessionStart => &["post /v1/sessions/{token}/start"],
        JobKind::SessionStop => &["post /v1/sessions/{token}/stop"],
        JobKind::SessionRestart => &["post /v1/sessions/{token}/restart"],
        JobKind::SessionLogout => &["post /v1/sessions/{token}/logout"],
        JobKind::SessionUpdate => &["patch /v1/sessions/{token}"],
        JobKind::SessionDelete => &[
            "delete /v1/sessions/{token}",
            "post /api/whatsapp/delete-credential",
        ],
        JobKind::PairingCode => &["post /v1/sessions/{token}/pairing-code"],
        JobKind::PasskeyAnswer => &["post /v1/sessions/{token}/passkey"],
        JobKind::PasskeyConfirm => &["post /v1/sessions/{token}/passkey/confirm"],
        JobKind::PasskeyCancel => &["post /v1/sessions/{token}/passkey/cancel"],
        JobKind::IsExists => &[
            "get /v1/sessions/{token}/numbers/{number}",
            "post /api/whatsapp/is-exists",
        ],
        JobKind::LookUp => &["post /v1/sessions/{token}/numbers/look-up"],
        JobKind::Block => &["post /v1/sessions/{token}/numbers/block"],
        JobKind::Unblock => &["post /v1/sessions/{token}/numbers/unblock"],
        JobKind::MediaRefresh => &["get /v1/sessions/{token}/messages/{message}/media"],
        JobKind::Group => &[
            "post /v1/sessions/{token}/groups",
            "post /api/whatsapp/group-metadata",
        ],
        JobKind::Profile => &[
            "post /v1/sessions/{token}/profile",
            "post /api/whatsapp/get-profile-picture",
        ],
        JobKind::RejectCall => &["post /v1/sessions/{token}/calls/{call}/reject"],
        JobKind::History => &["post /v1/sessions/{token}/chats/{chat}/history"],
        JobKind::Chat => &["post /v1/sessions/{token}/chats"],
        JobKind::ForgetChat => &["delete /v1/sessions/{token}/chats/{chat}"],
        JobKind::ForgetPerson => &["delete /v1/sessions/{token}/people/{person}"],
        JobKind::DryRun => &["post /v1/sessions/{token}/messages/dry-run"],
    }
}

/// Operations that no job asks for, each with what AMQP has in its place.
const WITHOUT_JOB: &[(&str, &str)] = &[
    (
        "post /v1/sessions",
        "a job needs a token that is routed already; this routes one",
    ),
    ("post /api/whatsapp/create-instance", "the same"),
    ("get /v1/sessions", "what happens is told in events"),
    ("get /v1/sessions/{token}", "connection.update"),
    ("get /v1/sessions/{token}/qr", "qrcode.updated"),
    ("get /v1/sessions/{token}/queues", "the events of queues"),
    (
        "get /v1/sessions/{token}/queues/{queue}",
        "the events of the queue",
    ),
    (
        "get /v1/sessions/{token}/queues/{queue}/recipients",
        "the events of the queue",
    ),
    (
        "get /v1/sessions/{token}/queues/{queue}/recipients.csv",
        "the events of the queue",
    ),
    ("get /v1/sessions/{token}/chats", "new.message"),
    ("get /v1/sessions/{token}/chats/{chat}", "new.message"),
    ("get /v1/sessions/{token}/chats/{chat}/messages", "new.message"),
    ("get /v1/sessions/{token}/messages", "new.message"),
    ("get /v1/sessions/{token}/contacts", "new.message"),
    (
        "get /v1/sessions/{token}/labels",
        "labels.edit and labels.association",
    ),
    ("get /v1/sessions/{token}/labels/{label}", "labels.association"),
    ("post /api/whatsapp/store/chats", "new.message"),
    (
        "get /v1/sessions/{token}/schedules",
        "the answers to its schedule jobs, and the events of the queues",
    ),
    ("get /v1/sessions/{token}/schedules/{schedule}", "the same"),
    ("post /api/whatsapp/scheduler", "the same"),
    ("get /v1/queues", "the events of queues"),
    (
        "get /v1/sessions/{token}/messages/{message}",
        "the events of the message",
    ),
    ("post /v1/media", "`url`, or `base64` for small files"),
    ("get /v1/media/{media}", "the same"),
    ("delete /v1/media/{media}", "the same"),
    ("get /v1/webhooks", "a queue of one's own, bound to the events"),
    ("post /v1/webhooks", "the same"),
    ("get /v1/webhooks/{webhook}", "the same"),
    ("patch /v1/webhooks/{webhook}", "the same"),
    ("delete /v1/webhooks/{webhook}", "the same"),
    ("post /v1/webhooks/{webhook}/test", "the same"),
    ("get /v1/webhooks/{webhook}/deliveries", "the same"),
    ("post /v1/webhooks/{webhook}/deliveries/replay", "the same"),
    ("get /v1/webhooks/{webhook}/deliveries/{delivery}", "the same"),
    (
        "post /v1/webhooks/{webhook}/deliveries/{delivery}/replay",
        "the same",
    ),
];

#[test]
fn http_and_amqp_can_do_the_same() {
    let document = openapi::document();
    let paths = document["paths"].as_object().unwrap();
    let documented: BTreeSet<String> = paths
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| format!("{method} {path}"))
        })
        .collect();
    let mut told = BTreeSet::new();
    let by_job = JobKind::ALL.into_iter().flat_map(operations);
    for operation in by_job.chain(WITHOUT_JOB.iter().map(|(operation, _)| operation)) {
        assert!(
            told.insert((*operation).to_owned()),
            "{operation} stands here twice"
        );
    }
    assert_eq!(documented, told, "the document (left) and this list (right)");
    for kind in JobKind::ALL {
        assert!(
            !operations(kind).is_empty(),
            "{kind:?} can't be asked for over HTTP"
        );
    }
}
