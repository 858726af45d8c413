//! Webhooks and their deliveries.

use shared::egress::Reach;
use shared::store::deliveries::{DeliveryState, TEST_EVENT};
use shared::store::webhooks::Dialect;

use super::names::{AT, DELIVERY, EVENT, LATER, TOKEN, WEBHOOK, fixed};
use super::operation::Examples;
use crate::paging::{LIMIT_MAX, Page};
use crate::problem::Problem;
use crate::v1::deliveries::{
    Delivery, DeliveryAttempt, ReplayDeliveries, ReplayedDeliveries, disabled, no_such_delivery,
};
use crate::v1::webhooks::{CreateWebhook, UpdateWebhook, Webhook, no_such_webhook};

/// The examples of this family.
pub(super) fn all() -> Vec<Examples> {
    let mut all = registry();
    all.extend(deliveries());
    all
}

/// A webhook that is not there.
const NO_WEBHOOK: &str = "/v1/webhooks/00000000-0000-4000-8000-000000000000";
/// One that is disabled.
const DISABLED: &str = "/v1/webhooks/4b0c9a55-7d31-4f0a-9c27-6a5b4c3d2e1f";
const URL: &str = "https://example.com/hooks/fanfare";
const LOOPBACK: &str = "http://127.0.0.1/hook";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";

fn registry() -> Vec<Examples> {
    let new = CreateWebhook {
        url: URL.to_owned(),
        token: Some(TOKEN.to_owned()),
        events: Some(vec!["send.message:*".to_owned(), "session.*".to_owned()]),
        ..CreateWebhook::default()
    };
    let private = CreateWebhook {
        url: LOOPBACK.to_owned(),
        ..CreateWebhook::default()
    };
    let refused = Reach::Public.check(LOOPBACK).err().map(|error| error.to_string());
    let change = UpdateWebhook {
        events: Some(vec!["send.message:ERROR".to_owned()]),
        max_per_second: Some(5.0),
        ..UpdateWebhook::default()
    };
    let page = Page {
        items: vec![webhook()],
        next: None,
    };
    let bad_limit = Problem::field("limit", format!("must be 1 to {LIMIT_MAX}"));
    vec![
        Examples::of("post /v1/webhooks")
            .asks(&new)
            .answers(201, "registered", &secret(webhook()))
            .refuses_body(
                "/v1/webhooks",
                &private,
                Problem::field("url", refused.unwrap_or_default()),
            ),
        Examples::of("get /v1/webhooks")
            .answers(200, "webhooks", &page)
            .refuses("/v1/webhooks?limit=0", bad_limit),
        Examples::of("get /v1/webhooks/{webhook}")
            .answers(200, "webhook", &webhook())
            .refuses(NO_WEBHOOK, no_such_webhook()),
        Examples::of("patch /v1/webhooks/{webhook}")
            .asks(&change)
            .answers(200, "changed", &changed())
            .refuses(NO_WEBHOOK, no_such_webhook()),
        Examples::of("delete /v1/webhooks/{webhook}").refuses(NO_WEBHOOK, no_such_webhook()),
    ]
}

fn deliveries() -> Vec<Examples> {
    let page = Page {
        items: vec![dead()],
        next: None,
    };
    let replay = ReplayDeliveries {
        state: Some(DeliveryState::Dead.as_str().to_owned()),
        event: Some("send.message:*".to_owned()),
        limit: Some(100),
        ..ReplayDeliveries::default()
    };
    let replayed = ReplayedDeliveries {
        replayed: 1,
        next: None,
    };
    let is_disabled = || disabled("disabled");
    let missing = format!("/v1/webhooks/{WEBHOOK}/deliveries/019a0000-0000-7000-8000-00000000000f");
    vec![
        Examples::of("get /v1/webhooks/{webhook}/deliveries")
            .answers(200, "deliveries", &page)
            .refuses(&format!("{NO_WEBHOOK}/deliveries"), no_such_webhook()),
        Examples::of("get /v1/webhooks/{webhook}/deliveries/{delivery}")
            .answers(200, "dead", &dead())
            .refuses(&missing, no_such_delivery()),
        Examples::of("post /v1/webhooks/{webhook}/deliveries/{delivery}/replay")
            .answers(202, "due", &due())
            .refuses(&format!("{missing}/replay"), no_such_delivery()),
        Examples::of("post /v1/webhooks/{webhook}/deliveries/replay")
            .asks(&replay)
            .answers(202, "due", &replayed)
            .refuses(&format!("{DISABLED}/deliveries/replay"), is_disabled())
            .refuses(&format!("{NO_WEBHOOK}/deliveries/replay"), no_such_webhook()),
        Examples::of("post /v1/webhooks/{webhook}/test")
            .answers(200, "answered", &tested(DeliveryState::Delivered))
            .answers(202, "under-way", &tested(DeliveryState::Pending))
            .refuses(&format!("{DISABLED}/test"), is_disabled())
            .refuses(&format!("{NO_WEBHOOK}/test"), no_such_webhook()),
    ]
}

fn webhook() -> Webhook {
    Webhook {
        id: fixed(WEBHOOK),
        url: URL.to_owned(),
        token: Some(fixed(TOKEN)),
        tokens: vec![fixed(TOKEN)],
        events: vec!["send.message:*".to_owned(), "session.*".to_owned()],
        header_names: Vec::new(),
        max_per_second: None,
        max_concurrent: None,
        dialect: Dialect::Standard,
        enabled: true,
        disabled_why: None,
        disabled_at: None,
        created_at: AT,
        old_secret_until: None,
        secret: None,
    }
}

fn secret(webhook: Webhook) -> Webhook {
    Webhook {
        secret: Some(SECRET.to_owned()),
        ..webhook
    }
}

fn changed() -> Webhook {
    Webhook {
        events: vec!["send.message:ERROR".to_owned()],
        max_per_second: Some(5.0),
        ..webhook()
    }
}

/// What was attempted as often as it may be.
fn dead() -> Delivery {
    Delivery {
        id: fixed(DELIVERY),
        event_id: fixed(EVENT),
        token: TOKEN.to_owned(),
        event: "send.message:ERROR".to_owned(),
        state: DeliveryState::Dead,
        attempts: 1,
        next_attempt_at: None,
        last_status: Some(500),
        last_error: Some("answered an error".to_owned()),
        history: vec![attempt(500, Some("answered an error"))],
        answer: None,
        created_at: AT,
        finished_at: Some(LATER),
    }
}

fn due() -> Delivery {
    Delivery {
        state: DeliveryState::Pending,
        attempts: 0,
        next_attempt_at: Some(LATER),
        finished_at: None,
        ..dead()
    }
}

fn tested(state: DeliveryState) -> Delivery {
    let is_over = state == DeliveryState::Delivered;
    let mut history = Vec::new();
    if is_over {
        history.push(attempt(200, None));
    }
    Delivery {
        event: TEST_EVENT.to_owned(),
        state,
        attempts: u32::from(is_over),
        next_attempt_at: (!is_over).then_some(AT),
        last_status: is_over.then_some(200),
        last_error: None,
        history,
        answer: is_over.then(|| "ok".to_owned()),
        finished_at: is_over.then_some(LATER),
        ..dead()
    }
}

fn attempt(status: u16, error: Option<&str>) -> DeliveryAttempt {
    DeliveryAttempt {
        at: AT,
        status: Some(status),
        error: error.map(str::to_owned),
        ms: 12,
    }
}
