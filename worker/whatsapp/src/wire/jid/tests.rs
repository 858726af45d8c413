use super::*;

fn jid(text: &str) -> Jid {
    text.parse().unwrap()
}

#[test]
fn text_form_round_trips() {
    for text in [
        "15551230001@s.whatsapp.net",
        "15551230001:11@s.whatsapp.net",
        "100000000000001:11@lid",
        "120363012345678901@g.us",
        "status@broadcast",
        "120363000000000001@newsletter",
        "15551230001:99@hosted",
        "100000000000001:99@hosted.lid",
        "1234567890:3@msgr",
        "2-1234567890:1@interop",
        "867051314767696@bot",
        "@s.whatsapp.net",
    ] {
        assert_eq!(jid(text).to_string(), text);
        let mut pushed = String::from("to ");
        jid(text).push_to(&mut pushed);
        assert_eq!(pushed, format!("to {text}"));
    }
}

#[test]
fn server_is_taken_with_and_without_at() {
    assert_eq!(jid("@s.whatsapp.net"), Jid::SERVER);
    assert_eq!(jid("s.whatsapp.net"), Jid::SERVER);
    assert!(Jid::SERVER.is_server() && !Jid::SERVER.is_user());
}

#[test]
fn device_zero_is_the_bare_user() {
    assert_eq!(jid("1555:0@s.whatsapp.net"), jid("1555@s.whatsapp.net"));
    assert_eq!(jid("1555:7@lid").to_bare(), jid("1555@lid"));
    assert!(jid("1555:7@lid").same_user(&jid("1555@lid")));
    assert!(!jid("1555@lid").same_user(&jid("1555@s.whatsapp.net")));
}

#[test]
fn servers_without_devices_ignore_them() {
    assert_eq!(jid("120363012345678901@g.us").with_device(3).device(), 0);
    assert_eq!(jid("x:1@bot").user(), "x:1");
}

#[test]
fn bad_addresses_are_refused() {
    assert_eq!("1555@example.com".parse::<Jid>(), Err(JidError::UnknownServer));
    assert_eq!("".parse::<Jid>(), Err(JidError::UnknownServer));
    assert_eq!("1555:x@lid".parse::<Jid>(), Err(JidError::BadDevice));
    assert_eq!("1555:+1@lid".parse::<Jid>(), Err(JidError::BadDevice));
    assert_eq!("1555:70000@lid".parse::<Jid>(), Err(JidError::BadDevice));
    assert_eq!("a b@lid".parse::<Jid>(), Err(JidError::BadUser));
    assert_eq!("a@b@lid".parse::<Jid>(), Err(JidError::BadUser));
    assert_eq!(Jid::phone("+15551230001"), Err(JidError::BadPhone));
    assert_eq!(Jid::phone("1555"), Err(JidError::BadPhone));
}

#[test]
fn debug_form_hides_the_number() {
    assert_eq!(
        format!("{:?}", jid("15551230001:3@s.whatsapp.net")),
        "Jid(…0001:3@s.whatsapp.net)"
    );
    assert_eq!(format!("{:?}", jid("123@lid")), "Jid(…@lid)");
    assert_eq!(format!("{:?}", Jid::SERVER), "Jid(@s.whatsapp.net)");
}
