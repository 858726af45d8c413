//! Sessions: their life, what pairs them, and the numbers that they are asked about.

use serde_json::json;
use shared::id::IdError;
use shared::job::{
    AssertionResponse, Calls, CredentialKind, GroupAction, GroupAnswer, GroupId, GroupJob, GroupMetadata,
    GroupParticipant, LogoutJob, LogoutQueues, NumberAnswer, NumbersJob, PasskeyAnswerJob, Phone, Presence,
    SessionUpdateJob,
};
use shared::waiting::Reason;

use super::names::{ACCOUNT, ANA, AT, BRUNO, GROUP, LATER, NOBODY, TOKEN, fixed};
use super::operation::Examples;
use crate::paging::{LIMIT_MAX, Page};
use crate::problem::Problem;
use crate::qr;
use crate::tokens::unknown;
use crate::v1::numbers::Numbers;
use crate::v1::pairing::{PairingCode, PairingCodeRequest, QrCode};
use crate::v1::sessions::{NewSession, Session, SessionWaiting};

/// The examples of this family.
pub(super) fn all() -> Vec<Examples> {
    let mut all = life();
    all.extend(control());
    all.extend(pairing());
    all.extend(numbers());
    all.extend(groups());
    all
}

fn life() -> Vec<Examples> {
    let new = NewSession {
        token: fixed(TOKEN),
        presence: None,
        proxy: None,
        calls: None,
    };
    let bad_token = Problem::field("token", IdError::Token.to_string());
    let page = Page {
        items: vec![session()],
        next: None,
    };
    let bad_limit = Problem::field("limit", format!("must be 1 to {LIMIT_MAX}"));
    let update = SessionUpdateJob {
        presence: Some(Some(Presence::Available)),
        proxy: Some("socks5h://user:password@proxy.example:1080".parse().ok()),
        calls: Some(Calls::Reject),
    };
    vec![
        Examples::of("post /v1/sessions")
            .asks(&new)
            .answers(201, "new", &unpaired())
            .answers(200, "there-already", &session())
            .refuses_body("/v1/sessions", &json!({ "token": "the shop" }), bad_token),
        Examples::of("get /v1/sessions")
            .answers(200, "sessions", &page)
            .refuses("/v1/sessions?limit=0", bad_limit),
        Examples::of("get /v1/sessions/{token}")
            .answers(200, "open", &session())
            .answers(200, "stopped", &stopped())
            .refuses("/v1/sessions/nobody", nobody()),
        Examples::of("patch /v1/sessions/{token}")
            .asks(&update)
            .answers(200, "open", &available())
            .refuses("/v1/sessions/nobody", nobody()),
        Examples::of("delete /v1/sessions/{token}").refuses("/v1/sessions/nobody", nobody()),
    ]
}

fn control() -> Vec<Examples> {
    let keep = LogoutJob {
        queues: LogoutQueues::Keep,
    };
    vec![
        Examples::of("post /v1/sessions/{token}/start")
            .answers(200, "started", &session())
            .refuses("/v1/sessions/nobody/start", nobody()),
        Examples::of("post /v1/sessions/{token}/stop")
            .answers(200, "stopped", &stopped())
            .refuses("/v1/sessions/nobody/stop", nobody()),
        Examples::of("post /v1/sessions/{token}/restart")
            .answers(200, "restarted", &session())
            .refuses("/v1/sessions/nobody/restart", nobody()),
        Examples::of("post /v1/sessions/{token}/logout")
            .asks(&keep)
            .answers(200, "logged-out", &logged_out())
            .refuses("/v1/sessions/nobody/logout", nobody()),
    ]
}

fn pairing() -> Vec<Examples> {
    let phone = PairingCodeRequest {
        phone: fixed(ACCOUNT),
        proxy: None,
    };
    let code = "2@b2Zm…,c2hvcA==,a2V5cw==,MTIz";
    let qr = QrCode {
        code: code.to_owned(),
        base64: qr::data_url(code).unwrap_or_default(),
        expires_at: LATER,
    };
    let pairing_code = PairingCode {
        code: "ABCD1234".to_owned(),
    };
    let signed = PasskeyAnswerJob {
        id: fixed("BvOhVgAAAAE"),
        raw_id: fixed("BvOhVgAAAAE"),
        kind: CredentialKind::PublicKey,
        response: AssertionResponse {
            client_data_json: fixed("eyJ0eXBlIjoid2ViYXV0aG4uZ2V0In0"),
            authenticator_data: fixed("SZYN5YgOjGh0NBcPZHZgW4_krrmihjLHmVzzuoMdl2MFAAAAAQ"),
            signature: fixed("MEUCIQDyYWJjZGVm"),
            user_handle: None,
        },
    };
    vec![
        Examples::of("get /v1/sessions/{token}/qr")
            .answers(200, "code", &qr)
            .answers_text("text/plain", code.to_owned())
            .refuses("/v1/sessions/nobody/qr", nobody()),
        Examples::of("post /v1/sessions/{token}/pairing-code")
            .asks(&phone)
            .answers(200, "code", &pairing_code)
            .refuses("/v1/sessions/nobody/pairing-code", nobody()),
        Examples::of("post /v1/sessions/{token}/passkey")
            .asks(&signed)
            .refuses("/v1/sessions/nobody/passkey", nobody()),
        Examples::of("post /v1/sessions/{token}/passkey/confirm")
            .refuses("/v1/sessions/nobody/passkey/confirm", nobody()),
        Examples::of("post /v1/sessions/{token}/passkey/cancel")
            .refuses("/v1/sessions/nobody/passkey/cancel", nobody()),
    ]
}

fn groups() -> Vec<Examples> {
    let group = || GroupId(fixed(GROUP));
    let asked = GroupJob::of(GroupAction::Metadata, group());
    let told = GroupAnswer {
        group: Some(group_metadata()),
        ..GroupAnswer::default()
    };
    let incomplete = serde_json::json!({ "action": "metadata" });
    let missing = Problem::field("group", "is needed to metadata");
    vec![
        Examples::of("post /v1/sessions/{token}/groups")
            .asks(&asked)
            .answers(200, "metadata", &told)
            .refuses_body("/v1/sessions/shop/groups", &incomplete, missing)
            .refuses("/v1/sessions/nobody/groups", unknown(&fixed(NOBODY))),
    ]
}

/// The group that examples speak of.
pub(crate) fn group_metadata() -> GroupMetadata {
    let person = |number: &str, admin: Option<&str>| GroupParticipant {
        id: format!("{number}@s.whatsapp.net"),
        lid: None,
        admin: admin.map(str::to_owned),
    };
    GroupMetadata {
        id: GROUP.to_owned(),
        subject: "Friends".to_owned(),
        creation: Some(1_649_779_303),
        owner: Some(format!("{ANA}@s.whatsapp.net")),
        description: None,
        restrict: false,
        announce: false,
        all_may_add: false,
        asks_to_join: false,
        disappearing_seconds: None,
        community: None,
        is_community: false,
        is_announcement_group: false,
        addressing: "lid".to_owned(),
        size: 2,
        participants: vec![person(ANA, Some("superadmin")), person(BRUNO, None)],
    }
}

fn numbers() -> Vec<Examples> {
    let asked = NumbersJob {
        numbers: vec![Phone(fixed(ANA)), Phone(fixed(BRUNO))],
    };
    vec![
        Examples::of("get /v1/sessions/{token}/numbers/{number}")
            .answers(200, "there", &ana(None))
            .refuses(&format!("/v1/sessions/nobody/numbers/{ANA}"), nobody()),
        Examples::of("post /v1/sessions/{token}/numbers/look-up")
            .asks(&asked)
            .answers(200, "numbers", &told(None))
            .refuses("/v1/sessions/nobody/numbers/look-up", nobody()),
        Examples::of("post /v1/sessions/{token}/numbers/block")
            .asks(&asked)
            .answers(200, "numbers", &told(Some(true)))
            .refuses("/v1/sessions/nobody/numbers/block", nobody()),
        Examples::of("post /v1/sessions/{token}/numbers/unblock")
            .asks(&asked)
            .answers(200, "numbers", &told(Some(false)))
            .refuses("/v1/sessions/nobody/numbers/unblock", nobody()),
    ]
}

/// What is told of somebody who is on WhatsApp, and of somebody who isn't.
fn told(blocked: Option<bool>) -> Numbers {
    let missing = blocked.map(|_| shared::job::NumberFailure::NotOnWhatsapp);
    let bruno = NumberAnswer {
        number: BRUNO.to_owned(),
        exists: false,
        jid: None,
        lid: None,
        blocked: None,
        error: missing,
    };
    Numbers {
        numbers: vec![ana(blocked), bruno],
    }
}

/// Who is on WhatsApp.
fn ana(blocked: Option<bool>) -> NumberAnswer {
    NumberAnswer {
        number: ANA.to_owned(),
        exists: true,
        jid: Some(format!("{ANA}@s.whatsapp.net")),
        lid: Some("187000000000001@lid".to_owned()),
        blocked,
        error: None,
    }
}

fn nobody() -> Problem {
    unknown(&fixed(NOBODY))
}

fn session() -> Session {
    Session {
        token: fixed(TOKEN),
        state: "open",
        wanted: true,
        deleting: false,
        jid: Some(format!("{ACCOUNT}@s.whatsapp.net")),
        lid: Some("187000000000000@lid".to_owned()),
        push_name: Some("Shop".to_owned()),
        platform: Some("android".to_owned()),
        close_reason: None,
        close_detail: None,
        waiting: None,
        passkey: None,
        presence: None,
        proxy: None,
        calls: Calls::Ring,
        restriction: None,
        created_at: AT,
        updated_at: LATER,
        paired_at: Some(LATER),
    }
}

fn available() -> Session {
    Session {
        presence: Some(Presence::Available),
        proxy: Some("socks5h://proxy.example:1080".to_owned()),
        calls: Calls::Reject,
        ..session()
    }
}

fn unpaired() -> Session {
    Session {
        state: "new",
        jid: None,
        lid: None,
        push_name: None,
        platform: None,
        updated_at: AT,
        paired_at: None,
        waiting: Some(SessionWaiting {
            reason: Reason::NotPaired,
            detail: "the session has no account; scan its QR code",
        }),
        ..session()
    }
}

fn stopped() -> Session {
    Session {
        state: "closed",
        wanted: false,
        waiting: Some(SessionWaiting {
            reason: Reason::Stopped,
            detail: "the session was stopped; start it again",
        }),
        ..session()
    }
}

fn logged_out() -> Session {
    Session {
        state: "logged-out",
        wanted: false,
        ..unpaired()
    }
}
