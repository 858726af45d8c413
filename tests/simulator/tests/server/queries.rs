//! The table of queries.

use crate::client::Companion;
use crate::{contact, simulator_with_contacts};
use simulator::population::Manners;
use whatsapp::binary::Node;

const PHONE: &str = "15551230001";

async fn online() -> Companion {
    let handle = simulator_with_contacts(Manners::default()).await;
    let companion = Companion::online(&handle, PHONE).await;
    // Outlives the handle's scope: the simulator stops with its last handle.
    std::mem::forget(handle);
    companion
}

#[tokio::test]
async fn only_contacts_and_phones_are_on_whatsapp() {
    let mut companion = online().await;
    let asked = [contact(5), "15551230099".into(), PHONE.into()];
    let users = asked.iter().map(|number| {
        Node::new("user").with_child(Node::new("contact").with_slice(format!("+{number}").as_bytes()))
    });
    let usync = Node::new("usync")
        .attr("sid", "s")
        .with_child(Node::new("query").with_child(Node::new("contact")))
        .with_child(Node::new("list").with_children(users));
    let reply = companion.iq("usync", "get", usync).await;
    let users = reply.child_at(&["usync", "list"]).unwrap().nodes();
    let kinds: Vec<_> = users
        .iter()
        .map(|user| {
            user.child("contact")
                .unwrap()
                .attr_str("type")
                .unwrap()
                .into_owned()
        })
        .collect();
    assert_eq!(kinds, ["in", "out", "in"]);
    assert_eq!(users[0].attr_jid("jid").unwrap().user(), asked[0]);
    assert_eq!(
        users[1].child("contact").unwrap().text().unwrap(),
        format!("+{}", asked[1])
    );
}

/// What whatsmeow asks: the answers go by hidden ids, and who is not on WhatsApp has none.
#[tokio::test]
async fn numbers_asked_for_by_hidden_id_have_one_only_on_whatsapp() {
    let mut companion = online().await;
    let nobody = "15551230099";
    let users = [contact(5), nobody.into()].map(|number| {
        Node::new("user").with_child(Node::new("contact").with_slice(format!("{number}@c.us").as_bytes()))
    });
    let query = Node::new("query")
        .with_child(Node::new("contact").attr("addressing_mode", "lid"))
        .with_child(Node::new("business").with_child(Node::new("verified_name")));
    let usync = Node::new("usync")
        .with_child(query)
        .with_child(Node::new("list").with_children(users));
    let reply = companion.iq("usync", "get", usync).await;
    let users = reply.child_at(&["usync", "list"]).unwrap().nodes();
    assert!(users[0].attr_jid("jid").unwrap().is_lid());
    assert_eq!(users[0].attr_jid("pn_jid").unwrap().user(), contact(5));
    assert!(users[0].child("business").is_none());
    assert!(users[1].value("jid").is_none());
    assert_eq!(users[1].attr_jid("pn_jid").unwrap().user(), nobody);
    assert!(users[1].child("contact").unwrap().attr_is("type", "out"));
}

#[tokio::test]
async fn app_state_is_empty_and_bad_requests_are_refused() {
    let mut companion = online().await;
    let asked = Node::new("collection").attr("name", "regular");
    let uploaded = asked.clone().with_child(Node::new("patch").with_slice(&[1]));
    let stale = uploaded.clone().attr("version", 5u32);
    let elsewhere = Node::new("collection")
        .attr("name", "irregular")
        .with_child(Node::new("patch"));
    let sync = Node::new("sync").with_children([asked, uploaded, stale, elsewhere]);
    let reply = companion.iq("w:sync:app:state", "set", sync).await;
    let collections = reply.child("sync").unwrap().nodes();
    assert!(collections[0].attr_is("name", "regular") && collections[0].attr_is("version", "0"));
    assert!(collections[0].nodes().is_empty());
    for (collection, code) in collections[1..].iter().zip(["400", "409", "404"]) {
        assert!(collection.child("error").unwrap().attr_is("code", code), "{code}");
    }
    let reply = companion
        .iq("w:sync:app:state", "set", Node::new("nonsense"))
        .await;
    assert!(reply.attr_is("type", "error"));
    assert!(reply.child("error").unwrap().attr_is("code", "400"));
}

#[tokio::test]
async fn the_usual_queries_have_their_children() {
    let mut companion = online().await;
    for (xmlns, child, path) in [
        ("abt", "props", "props"),
        ("blocklist", "x", "list"),
        ("privacy", "privacy", "privacy"),
        ("encrypt", "count", "count"),
        ("encrypt", "digest", "digest"),
        ("w:g2", "participating", "groups"),
        ("w:mex", "query", "result"),
    ] {
        let reply = companion.iq(xmlns, "get", Node::new(child)).await;
        assert!(reply.attr_is("type", "result"), "{xmlns}");
        assert!(reply.child(path).is_some(), "{xmlns}");
        assert!(reply.attr_jid("from").unwrap().is_server());
    }
    let reply = companion.iq("nobody:knows", "get", Node::new("this")).await;
    assert!(reply.attr_is("type", "result") && reply.nodes().is_empty());
}

#[tokio::test]
async fn one_time_prekeys_are_handed_out_once_each_and_low_ones_are_told() {
    let handle = simulator_with_contacts(Manners::default()).await;
    let mut one = Companion::online(&handle, PHONE).await;
    let mut other = Companion::online(&handle, "15551230002").await;
    let mut ids = Vec::new();
    for _ in 0..17 {
        let key = Node::new("key").with_child(Node::new("user").attr("jid", one.jid()));
        let reply = other.iq("encrypt", "get", key).await;
        let user = &reply.child("list").unwrap().nodes()[0];
        ids.push(
            user.child_at(&["key", "id"])
                .unwrap()
                .data()
                .unwrap()
                .into_owned(),
        );
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 17);
    let told = one
        .wire()
        .expect("few prekeys", |node| node.attr_is("type", "encrypt"))
        .await;
    assert_eq!(told.child("count").unwrap().attr_u64("value"), Some(4));
    one.upload_prekeys(10).await;
    let count = one.iq("encrypt", "get", Node::new("count")).await;
    assert_eq!(count.child("count").unwrap().attr_u64("value"), Some(13));
}

#[tokio::test]
async fn a_signed_prekey_with_a_wrong_signature_is_refused() {
    let mut companion = online().await;
    let skey = &companion.device.signed_prekey;
    let skey = Node::new("skey")
        .with_child(Node::new("id").with_slice(&skey.id.to_be_bytes3()))
        .with_child(Node::new("value").with_slice(skey.pair.public().as_bytes()))
        .with_child(Node::new("signature").with_slice(&[7; 64]));
    let reply = companion
        .iq("encrypt", "set", Node::new("rotate").with_child(skey))
        .await;
    assert!(reply.attr_is("type", "error"));
}
