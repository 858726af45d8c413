//! Whether the version of WhatsApp Web that sessions say they are will be taken for some time to come.

use std::time::Duration;

use shared::store::Store;
use shared::store::client_version::{self, Known, Release, Source};

use super::report::Finding;

/// Which version of WhatsApp Web sessions say they are, and how long it may still be taken.
pub(super) async fn version(store: &Store, fixed: Option<String>) -> Finding {
    match client_version::read(store).await {
        Ok(known) => judge_version(&known, fixed.as_deref()),
        Err(error) => Finding::Bad(error.to_string()),
    }
}

fn judge_version(known: &Known, fixed: Option<&str>) -> Finding {
    let Some(release) = known.release else {
        return Finding::Warn("not known yet: no session worker has started".to_owned());
    };
    let said = describe(&release, known);
    if let Some(fixed) = fixed {
        return Finding::Warn(format!(
            "WHATSAPP_VERSION sets {fixed}, and nothing newer is taken; the deployment knows {said}"
        ));
    }
    let advice = "may the workers reach WHATSAPP_VERSION_URL? Else name a newer one in WHATSAPP_VERSION";
    if let Some(at) = known.is_refused(release.version, REFUSAL_LASTS) {
        let minutes = (known.now - at).whole_minutes();
        return Finding::Bad(format!(
            "{said}; WhatsApp refused it {minutes} minutes ago, and sessions come back with a newer one: {advice}"
        ));
    }
    if let Some(at) = known.expires(release.version) {
        return Finding::Warn(format!("{said}; WhatsApp will refuse it from {at} on; {advice}"));
    }
    // There is none newer where the page was read of late.
    let is_read = known.fetched_at.is_some_and(|at| known.now - at < PAGE_COUNTS);
    if !is_read && known.now - release.built_at >= VERSION_OLD {
        let text = "WhatsApp refuses versions after about four months";
        return Finding::Warn(format!("{said}; {text}; {advice}"));
    }
    Finding::Ok(said)
}

/// The version, its age, where it is from, and what is the matter with the page.
fn describe(release: &Release, known: &Known) -> String {
    let days = (known.now - release.built_at).whole_days();
    let read = known.fetched_at.map(|at| (known.now - at).whole_hours());
    let source = match (release.source, read) {
        (Source::Page, Some(hours)) => format!("read {hours} h ago"),
        (Source::BuiltIn, Some(hours)) => format!("built in; WhatsApp's page had no newer one {hours} h ago"),
        (Source::Page, None) => "read from WhatsApp's page".to_owned(),
        (Source::BuiltIn, None) => "built in; WhatsApp's page was not read yet".to_owned(),
    };
    let failure = known.failure.as_deref();
    let failure = failure.map_or_else(String::new, |why| format!(" (last try: {why})"));
    format!("{}, about {days} days old, {source}{failure}", release.version)
}

/// A version of WhatsApp Web that is older should have been replaced: it is refused after 126 to 137 days.
const VERSION_OLD: Duration = Duration::from_secs(45 * 86_400);

/// For how long what the page said counts: it is read daily.
const PAGE_COUNTS: Duration = Duration::from_secs(3 * 86_400);

/// For how long a refusal of a version counts: refused sessions try again each hour.
const REFUSAL_LASTS: Duration = Duration::from_secs(2 * 3_600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_well_until_it_is_old_announced_to_end_or_refused() {
        let now = time::OffsetDateTime::UNIX_EPOCH + Duration::from_secs(20_000 * 86_400);
        let days = |days: u64| Duration::from_secs(days * 86_400);
        let version = client_version::WebVersion::new([2, 3_000, 7]);
        let of_age = |age: Duration| Known {
            release: Some(Release {
                version,
                source: Source::Page,
                built_at: now - age,
            }),
            fetched_at: Some(now - Duration::from_secs(7_200)),
            failure: None,
            refused: None,
            expiring: None,
            now,
        };
        let young = of_age(days(3));
        let text = "2.3000.7, about 3 days old, read 2 h ago".to_owned();
        assert_eq!(judge_version(&young, None), Finding::Ok(text));
        assert!(matches!(judge_version(&of_age(days(45)), None), Finding::Ok(_)));
        let unread = Known {
            fetched_at: Some(now - days(3)),
            ..of_age(days(45))
        };
        for (known, fixed, words) in [
            (unread, None, "45 days old"),
            (young.clone(), Some("2.3000.5"), "2.3000.5"),
            (
                Known {
                    expiring: Some((version, now + days(9))),
                    ..young.clone()
                },
                None,
                "will refuse it from",
            ),
            (
                Known {
                    release: None,
                    ..young.clone()
                },
                None,
                "not known yet",
            ),
        ] {
            match judge_version(&known, fixed) {
                Finding::Warn(text) => assert!(text.contains(words), "{words}: {text}"),
                other => panic!("{words}: {other:?}"),
            }
        }
        let refused = Known {
            refused: Some((version, now - Duration::from_secs(120))),
            failure: Some("no answer in time".to_owned()),
            ..young
        };
        match judge_version(&refused, None) {
            Finding::Bad(text) => {
                assert!(
                    text.contains("2 minutes ago") && text.contains("no answer in time"),
                    "{text}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
}
