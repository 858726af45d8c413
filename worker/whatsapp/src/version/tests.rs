use proptest::prelude::*;

use super::*;

/// A piece of the script, as its JSON looks inside a text of JavaScript.
const SCRIPT: &[u8] = br#"self.__swData=JSON.parse("{\"dynamic_data\":{\"SiteData\":{\"server_revision\":1026131876,\"client_revision\":1026131876,\"push_phase\":\"C3\",\"__spin_t\":1755729499}}}");"#;

fn revision(page: &[u8]) -> Result<u32, BadPage> {
    Published::read(page).map(|published| published.version.tertiary)
}

#[test]
fn the_script_and_the_page_are_read() {
    let expected = Published {
        version: ClientVersion::web(1_026_131_876),
        built: Some(Timestamp::from_secs(1_755_729_499)),
    };
    assert_eq!(Published::read(SCRIPT), Ok(expected));
    let page = br#"<html>["SiteData",[],{"server_revision":1,"client_revision":1026131876,"__spin_t":1755729499},317]"#;
    assert_eq!(Published::read(page), Ok(expected));
    assert_eq!(revision(br#"{"client_revision" : 7}"#), Ok(7));
    // A text in a text.
    assert_eq!(revision(br#"{\\\"client_revision\\\":8}"#), Ok(8));
    // The first that is well formed.
    assert_eq!(
        revision(br#"{"client_revision":"x","client_revision":9,"client_revision":10}"#),
        Ok(9)
    );
}

#[test]
fn what_names_no_version_is_unreadable() {
    for page in [
        &b""[..],
        b"<html>Bad Request</html>",
        b"assets-manifest-98765",
        b"client_revision",
        br#""client_revision":"#,
        br#""client_revision":""#,
        br#""client_revision":-1"#,
        br#""client_revision":0"#,
        br#""client_revision":4294967296"#,
        br#""client_revision":99999999999999999999999999"#,
        br#""my_client_revision":5"#,
        br#"{"client_revision_2":5}"#,
    ] {
        let text = String::from_utf8_lossy(page);
        assert_eq!(Published::read(page), Err(BadPage::Unreadable), "{text}");
    }
}

#[test]
fn a_version_is_believed_within_bounds() {
    let (known, day) = (ClientVersion::KNOWN.tertiary, DAY);
    let check = |revision: u32, held: u32, days: u32| {
        let (version, built) = (ClientVersion::web(revision), None);
        let now = ClientVersion::KNOWN_SINCE + day * days;
        Published { version, built }.check(ClientVersion::web(held), now)
    };
    assert_eq!(check(known, known, 100), Ok(()));
    assert_eq!(check(known + 100 * 65_000, known, 100), Ok(()));
    assert_eq!(check(known + 100 * 200_000, known, 100), Ok(()));
    assert_eq!(check(known - 1, known, 100), Err(BadPage::Older));
    // Not below the one built in, whatever is held.
    assert_eq!(check(known - 1, 0, 100), Err(BadPage::Older));
    assert_eq!(check(known + 5, known + 6, 100), Err(BadPage::Older));
    assert_eq!(check(u32::MAX, known, 100), Err(BadPage::TooNew));
    assert_eq!(check(known + 100 * 300_000, known, 100), Err(BadPage::TooNew));
    // A clock that is slow, or years ahead, refuses nothing of today and panics at nothing.
    let now = Timestamp::EPOCH;
    let published = |revision| Published::read(format!("\"client_revision\":{revision}").as_bytes()).unwrap();
    assert_eq!(published(known + 65_000).check(ClientVersion::KNOWN, now), Ok(()));
    let end = Timestamp::from_millis(u64::MAX);
    assert_eq!(published(u32::MAX).check(ClientVersion::KNOWN, end), Ok(()));
}

#[test]
fn a_version_has_an_age() {
    let now = ClientVersion::KNOWN_SINCE + DAY * 100;
    let day_of = |revision: u32| {
        let since = ClientVersion::web(revision).estimated_since(now);
        since.since(ClientVersion::KNOWN_SINCE).as_secs() / DAY.as_secs()
    };
    let known = ClientVersion::KNOWN.tertiary;
    assert_eq!((day_of(known), day_of(known + 10 * 65_000)), (0, 10));
    // Not in the future.
    assert_eq!(day_of(known + 1_000 * 65_000), 100);
    // Revisions that clients made known, with their days: to some weeks.
    for (revision, day) in [(1_033_287_297, 1_770_768_000), (1_045_649_367, 1_787_184_000)] {
        let (told, real) = (
            ClientVersion::web(revision).estimated_since(now),
            Timestamp::from_secs(day),
        );
        let apart = told.since(real).max(real.since(told));
        assert!(apart < DAY * 21, "{revision}: {apart:?}");
    }
    let built = |built| Published {
        version: ClientVersion::KNOWN,
        built: Some(Timestamp::from_secs(built)),
    };
    assert_eq!(built(1_787_000_000).since(now).as_secs(), 1_787_000_000);
    // Rubbish is no date.
    for rubbish in [0, 1, u64::MAX] {
        assert_eq!(built(rubbish).since(now), ClientVersion::KNOWN_SINCE);
    }
}

#[test]
fn versions_are_texts_and_have_an_order() {
    let parse = |text: &str| text.parse::<ClientVersion>();
    assert_eq!(parse("2.3000.1043857760"), Ok(ClientVersion::KNOWN));
    assert_eq!(
        parse(&ClientVersion::web(5).to_string()),
        Ok(ClientVersion::web(5))
    );
    for text in [
        "",
        "2",
        "2.3000",
        "2.3000.x",
        "2.3000.1.1",
        "2.3000.-1",
        "2.3000.+1",
        "2.3000.4294967296",
    ] {
        assert_eq!(parse(text), Err(NoVersion), "{text}");
    }
    for (later, earlier) in [
        ("2.3000.2", "2.3000.1"),
        ("2.3001.0", "2.3000.9"),
        ("3.0.0", "2.9999.9"),
    ] {
        assert!(parse(later).unwrap() > parse(earlier).unwrap());
    }
}

proptest! {
    #[test]
    fn rubbish_is_refused_and_never_believed(page in proptest::collection::vec(any::<u8>(), 0..512)) {
        prop_assert_eq!(Published::read(&page), Err(BadPage::Unreadable));
    }

    /// What looks like a page and is none: pieces of one in any order.
    #[test]
    fn pieces_of_a_page_panic_at_nothing(
        pieces in proptest::collection::vec(
            prop_oneof![
                Just("\""), Just("\\"), Just("client_revision"), Just("__spin_t"), Just(":"), Just(" "), Just("1045649367"),
                Just("99999999999999"), Just(","), Just("{"), Just("\u{0}"), Just("é"),
            ],
            0..64,
        ),
        held in any::<u32>(),
        now in any::<u64>(),
    ) {
        let now = Timestamp::from_millis(now);
        if let Ok(published) = Published::read(pieces.concat().as_bytes()) {
            let held = ClientVersion::web(held);
            if published.check(held, now).is_ok() {
                prop_assert!(published.version >= held && published.version >= ClientVersion::KNOWN);
            }
            prop_assert!(published.since(now) <= now);
        }
    }

    #[test]
    fn a_revision_is_found_whatever_stands_around_it(
        revision in 1..u32::MAX,
        escapes in 0..4_usize,
        blanks in " {0,3}",
        before in "[^\"]{0,64}",
        after in "[^0-9].{0,64}",
    ) {
        let quote = format!("{}\"", "\\".repeat(escapes));
        let page = format!("{before}{quote}client_revision{quote}:{blanks}{revision}{after}");
        prop_assert_eq!(
            Published::read(page.as_bytes()).map(|published| published.version),
            Ok(ClientVersion::web(revision))
        );
    }

    /// Whatever is believed is between what was held and what can be out.
    #[test]
    fn versions_never_go_backwards(revisions in proptest::collection::vec(any::<u32>(), 0..32), days in 0..1_000_u32) {
        let now = ClientVersion::KNOWN_SINCE + DAY * days;
        let mut held = ClientVersion::KNOWN;
        for revision in revisions {
            let published = Published { version: ClientVersion::web(revision), built: None };
            if published.check(held, now).is_ok() {
                prop_assert!(published.version >= held);
                prop_assert!(revision <= ClientVersion::KNOWN.tertiary + (days + 14) * REVISIONS_PER_DAY_MAX);
                held = published.version;
            }
        }
    }
}
