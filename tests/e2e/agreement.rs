//! Our session and Baileys, two devices of one account: of the same things they report the same.
//!
//! A script goes through what a phone, its contacts and the server do. What each side reports of it is put into one form
//! ([`fact`]) and compared field by field. Where they differ, and why that is right, is a table ([`differences`]), which
//! docs/AGREEMENT.md prints; a difference that is not in it fails the test, and so does a row that does not come up.

mod compare;
mod differences;
mod fact;
mod kinds;
mod ours;
mod script;
mod stage;
mod theirs;

use anyhow::{Result, ensure};
use compare::Findings;
use fact::{Fact, Names};
use serde_json::Value;
use stage::{Reports, Stage};

/// The least that the script does.
const ACTIONS: usize = 60;

#[tokio::test(flavor = "multi_thread")]
async fn baileys_and_our_session_report_the_same_of_one_account() -> Result<()> {
    let mut stage = Stage::new().await?;
    script::play(&mut stage).await?;
    let reports = stage.reports();
    ensure!(reports.len() >= ACTIONS, "{} actions", reports.len());
    let names = names(&reports)?;
    let mut findings = Findings::default();
    for report in &reports {
        let is_of_herald = |fact: &Fact| {
            let chat = fact.fields.get("chat").and_then(Value::as_str);
            fact.key == stage.herald || chat == Some(&stage.herald)
        };
        let facts = |of: &[Value], read: fn(&Value, &Names) -> Vec<Fact>| -> Vec<Fact> {
            let facts = of.iter().flat_map(|event| read(event, &names));
            facts.filter(|fact| !is_of_herald(fact)).collect()
        };
        let (ours, theirs) = (
            facts(&report.ours, ours::facts),
            facts(&report.theirs, theirs::facts),
        );
        findings.take(report.during, ours, theirs);
    }
    differences::are_all(&findings)?;
    let audit = stage.cluster.control.audit().await?;
    ensure!(audit.violations == 0 && audit.undecryptable == 0, "{audit:?}");
    Ok(())
}

/// Who has which hidden id, by what Baileys says; what we say of it is the same.
fn names(reports: &[Reports]) -> Result<Names> {
    let mut names = Names::default();
    for said in reports.iter().flat_map(|report| &report.theirs) {
        names.learn(&said["data"]);
    }
    for event in reports.iter().flat_map(|report| &report.ours) {
        agrees(&names, event)?;
    }
    Ok(names)
}

/// Wherever we tell a hidden id beside a number, Baileys has the same.
fn agrees(names: &Names, said: &Value) -> Result<()> {
    match said {
        Value::Array(list) => list.iter().try_for_each(|said| agrees(names, said)),
        Value::Object(object) => {
            let told = object.get("lid").and_then(Value::as_str);
            let number = object.get("phoneNumber").and_then(Value::as_str);
            if let (Some(lid), Some(number)) = (told, number) {
                ensure!(names.person(lid) == number, "{lid} is {number} in {said}");
            }
            object.values().try_for_each(|said| agrees(names, said))
        }
        _ => Ok(()),
    }
}
