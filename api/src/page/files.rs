//! The files of the page, as they are in the folder `api/page`; a test holds that none is missing.

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../page/", $name)))),*]
    };
}

/// What the pages are made of.
pub(super) const FILES: &[(&str, &str)] = files![
    "api.js",
    "app.js",
    "base.css",
    "docs/docs.css",
    "docs/docs.js",
    "docs/events.js",
    "docs/schema.js",
    "html.js",
    "icon.svg",
    "live.js",
    "message.js",
    "parts.css",
    "parts/asked.js",
    "parts/basics.js",
    "parts/chats.js",
    "parts/dialog.js",
    "parts/pace.js",
    "parts/pages.js",
    "parts/queuerows.js",
    "parts/received.js",
    "parts/what.js",
    "parts/who.js",
    "placeholders.js",
    "readings.js",
    "recipients.js",
    "route.js",
    "stream.js",
    "vendor/hooks.js",
    "vendor/htm.LICENSE",
    "vendor/htm.js",
    "vendor/preact.LICENSE",
    "vendor/preact.js",
    "views.css",
    "views/broadcast.js",
    "views/chats.js",
    "views/dryrun.js",
    "views/events.js",
    "views/help.js",
    "views/home.js",
    "views/numbers.js",
    "views/pairing.js",
    "views/passkey.js",
    "views/people.js",
    "views/queue.js",
    "views/queues.js",
    "views/schedule.js",
    "views/schedules.js",
    "views/settings.js",
    "views/signin.js",
    "views/thread.js",
    "views/webhook.js",
    "views/webhooks.js",
    "words.js",
];

/// The pages themselves.
pub(super) const PAGES: &[(&str, &str)] = files!["index.html", "docs.html", "events.html"];
