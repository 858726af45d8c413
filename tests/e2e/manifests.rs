//! The Kubernetes manifests: valid by the cluster's own schemas, and of one piece.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::documents::{python, yaml};

/// Seconds after which a process that was told to end is gone, with some to spare.
const GRACE_SECONDS: u64 = 40;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kubernetes")
}

/// The files that the kustomization names.
fn named() -> Result<Vec<PathBuf>> {
    let base = yaml(&folder().join("kustomization.yaml"))?;
    let files = base[0]["resources"].as_array().context("resources")?;
    let files = files.iter().filter_map(Value::as_str);
    Ok(files.map(|file| folder().join(file)).collect())
}

fn objects() -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for file in named()? {
        all.extend(yaml(&file)?);
    }
    Ok(all)
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// Whether all of these labels are among those.
fn selects(selector: &Value, labels: &Value) -> bool {
    let labels = labels.as_object().cloned().unwrap_or_default();
    selector.as_object().is_some_and(|wanted| {
        !wanted.is_empty() && wanted.iter().all(|(name, value)| labels.get(name) == Some(value))
    })
}

#[test]
fn each_manifest_keeps_to_the_schemas_of_kubernetes() -> Result<()> {
    let mut files = named()?;
    // Of the Prometheus operator: no schema of Kubernetes.
    files.retain(|file| !file.ends_with("monitor.yaml"));
    files.push(folder().join("secret.example.yaml"));
    let validate = python()?.with_file_name("kubernetes-validate");
    let done = std::process::Command::new(&validate)
        .arg("--strict")
        .args(&files)
        .output()
        .with_context(|| format!("{}: tests/deploy/requirements.txt", validate.display()))?;
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    ensure!(done.status.success(), "{said}");
    Ok(())
}

#[test]
fn pods_may_do_little_are_watched_and_have_the_time_to_end() -> Result<()> {
    let objects = objects()?;
    let workloads = [of_kind(&objects, "Deployment"), of_kind(&objects, "Job")].concat();
    ensure!(workloads.len() == 4, "{workloads:?}");
    for workload in workloads {
        let name = &workload["metadata"]["name"];
        let pod = &workload["spec"]["template"]["spec"];
        ensure!(pod["securityContext"]["runAsNonRoot"] == true, "{name}");
        ensure!(pod["automountServiceAccountToken"] == false, "{name}");
        let container = &pod["containers"][0];
        let may = &container["securityContext"];
        ensure!(may["readOnlyRootFilesystem"] == true, "{name}");
        ensure!(may["allowPrivilegeEscalation"] == false, "{name}");
        ensure!(
            may["capabilities"]["drop"] == serde_json::json!(["ALL"]),
            "{name}"
        );
        ensure!(container["resources"]["limits"]["memory"].is_string(), "{name}");
        ensure!(container["resources"]["requests"]["cpu"].is_string(), "{name}");
        let refs = container["envFrom"].as_array().context("envFrom")?;
        for reference in refs {
            ensure!(
                reference["configMapRef"]["name"] == "fanfare" || reference["secretRef"]["name"] == "fanfare",
                "{name} wants {reference}, which nobody makes"
            );
        }
        if workload["kind"] == "Job" {
            continue;
        }
        ensure!(pod["terminationGracePeriodSeconds"] == GRACE_SECONDS, "{name}");
        for (probe, path) in [
            ("livenessProbe", "/healthz"),
            ("readinessProbe", "/readyz"),
            ("startupProbe", "/healthz"),
        ] {
            let asked = &container[probe]["httpGet"];
            ensure!(
                asked["path"] == path && asked["port"] == "metrics",
                "{name}: {probe}"
            );
        }
    }
    Ok(())
}

#[test]
fn services_budgets_policies_and_the_monitor_find_their_pods() -> Result<()> {
    let objects = objects()?;
    let deployments = of_kind(&objects, "Deployment");
    let monitor = of_kind(&objects, "ServiceMonitor");
    let monitor = &monitor.first().context("a ServiceMonitor")?["spec"];
    let mut watched = BTreeSet::new();
    for deployment in &deployments {
        let name = deployment["metadata"]["name"].as_str().context("a name")?;
        let template = &deployment["spec"]["template"];
        let labels = &template["metadata"]["labels"];
        ensure!(
            selects(&deployment["spec"]["selector"]["matchLabels"], labels),
            "{name} does not find its own pods"
        );
        let finds = |kind, selector: fn(&Value) -> &Value| {
            let all = of_kind(&objects, kind).into_iter();
            all.filter(|object| selects(selector(object), labels))
                .collect::<Vec<_>>()
        };
        let budgets = finds(
            "PodDisruptionBudget",
            |budget| &budget["spec"]["selector"]["matchLabels"],
        );
        ensure!(budgets.len() == 1, "{name} has {} budgets", budgets.len());
        let services = finds("Service", |service| &service["spec"]["selector"]);
        let service = services
            .first()
            .with_context(|| format!("{name} has no service"))?;
        let ports = service["spec"]["ports"].as_array().context("ports")?;
        ensure!(ports.iter().any(|port| port["name"] == "metrics"), "{name}");
        if selects(
            &monitor["selector"]["matchLabels"],
            &service["metadata"]["labels"],
        ) {
            watched.insert(service["metadata"]["name"].as_str().context("a name")?);
        }
        for kind in ["Ingress", "Egress"] {
            let policies = finds(
                "NetworkPolicy",
                |policy| &policy["spec"]["podSelector"]["matchLabels"],
            );
            let opens = |policy: &&Value| {
                policy["spec"]["policyTypes"]
                    .as_array()
                    .is_some_and(|all| all.iter().any(|one| one == kind))
            };
            ensure!(policies.iter().any(opens), "{name} is closed to {kind}");
        }
    }
    // What the rules and dashboards call their targets.
    ensure!(
        watched == BTreeSet::from(["fanfare-api", "fanfare-session", "fanfare-webhook"]),
        "{watched:?}"
    );
    ensure!(monitor["endpoints"][0]["port"] == "metrics", "{monitor}");
    Ok(())
}
