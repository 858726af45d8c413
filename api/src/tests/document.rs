//! The OpenAPI document against the routes.

use serde_json::json;

use super::*;
use crate::openapi;

#[tokio::test]
async fn every_path_of_the_document_is_routed() {
    let api = TestApi::new().await;
    let document = openapi::document();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 19);
    for path in [
        "create-instance",
        "delete-credential",
        "send-text",
        "is-exists",
        "group-metadata",
    ] {
        assert!(paths.contains_key(&format!("/api/whatsapp/{path}")), "{path}");
    }
    for (path, methods) in paths {
        let path = path.replace(['{', '}'], "");
        for method in methods
            .as_object()
            .unwrap()
            .keys()
            .filter(|key| ["get", "post", "patch", "delete"].contains(&key.as_str()))
        {
            let method: Method = method.to_uppercase().parse().unwrap();
            let answered = api.send(method.clone(), &path, json!({}).to_string()).await;
            if !answered.status.is_success() {
                let body = answered.json();
                let code = if path.starts_with("/v1") {
                    body["code"].clone()
                } else {
                    body["error"]["code"].clone()
                };
                assert!(code.is_string(), "{method} {path}: {body}");
                assert!(
                    code != "not_found" && code != "method_not_allowed",
                    "{method} {path}: {code}"
                );
            }
        }
    }
}

#[tokio::test]
async fn the_document_needs_no_key() {
    let api = TestApi::new().await;
    let request = Request::get("/v1/openapi.json").body(Body::empty()).unwrap();
    let answered = api.request(request).await;
    assert_eq!(
        (answered.status, &answered.json()["info"]["title"]),
        (StatusCode::OK, &json!("Fanfare"))
    );
}

#[tokio::test]
async fn the_document_of_jobs_and_events_is_served_without_a_key_as_it_stands_in_the_docs() {
    let api = TestApi::new().await;
    let request = Request::get("/v1/asyncapi.json").body(Body::empty()).unwrap();
    let answered = api.request(request).await;
    assert_eq!(answered.status, StatusCode::OK);
    let written = include_str!("../../../docs/asyncapi.json");
    assert_eq!(answered.json(), serde_json::from_str::<Value>(written).unwrap());
}

#[test]
fn every_operation_has_a_name_of_its_own() {
    let document = openapi::document();
    let paths = document["paths"].as_object().unwrap().values();
    let operations = paths.flat_map(|methods| methods.as_object().unwrap().values());
    let mut names: Vec<&str> = operations
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "{names:?}");
    assert!(names.contains(&"queues_create") && names.contains(&"deliveries_list"));
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = openapi::document();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 50, "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}
