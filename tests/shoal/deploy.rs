//! What is in deploy/: it is well-formed, asks for metrics that there are, and runs commands that work, outside of any container.

mod commands;
pub mod metrics;
mod runbook;

use std::path::{Path, PathBuf};

use serde_yaml_ng::Value;

fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(relative)
}

fn text(relative: &str) -> String {
    std::fs::read_to_string(path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
}

/// The documents of a file of YAML, with what they merge.
fn yaml(relative: &str) -> Vec<Value> {
    let text = text(relative);
    let documents = serde_yaml_ng::Deserializer::from_str(&text).map(|document| {
        let mut value =
            <Value as serde::Deserialize>::deserialize(document).unwrap_or_else(|error| panic!("{relative}: {error}"));
        value.apply_merge().unwrap();
        value
    });
    documents.collect()
}

fn compose() -> Value {
    yaml("compose.yaml").remove(0)
}

fn names(mapping: &Value) -> Vec<&str> {
    mapping.as_mapping().unwrap().keys().map(|name| name.as_str().unwrap()).collect()
}

#[test]
fn the_compose_file_refers_to_what_there_is() {
    let compose = compose();
    let (services, volumes, secrets) =
        (names(&compose["services"]), names(&compose["volumes"]), names(&compose["secrets"]));
    let made = text("make-secrets");
    for secret in &secrets {
        assert_eq!(compose["secrets"][*secret]["file"], format!("./secrets/{secret}"));
        assert!(made.contains(&format!("secret {secret} ")), "make-secrets makes no {secret}");
    }
    for name in &services {
        let service = &compose["services"][*name];
        let list = |key: &str| service[key].as_sequence().cloned().unwrap_or_default();
        for mount in list("volumes") {
            // A way to balance is chosen by a variable.
            let mount = mount.as_str().unwrap().replace("${SHOAL_BALANCING:-least-connections}", "least-connections");
            let source = mount.split(':').next().unwrap();
            match source.strip_prefix("./") {
                Some(file) => assert!(path(file).exists(), "{name}: {source}"),
                None => assert!(volumes.contains(&source), "{name}: {source}"),
            }
        }
        for secret in list("secrets") {
            assert!(secrets.contains(&secret.as_str().unwrap()), "{name}: {secret:?}");
        }
        for needed in service["depends_on"].as_mapping().into_iter().flat_map(|needed| needed.keys()) {
            assert!(services.contains(&needed.as_str().unwrap()), "{name} depends on {needed:?}");
        }
    }
    for variant in ["least-connections", "round-robin", "client-hash"] {
        let upstream = text(&format!("nginx/{variant}.conf"));
        for instance in ["shoal-1", "shoal-2"] {
            assert!(
                services.contains(&instance) && upstream.contains(&format!("server {instance}:8000 ")),
                "{variant}"
            );
        }
    }
    let scraped = text("prometheus/prometheus.yml");
    for target in ["shoal-1:8000", "shoal-2:8000", "worker:9000"] {
        assert!(scraped.contains(target) && services.contains(&target.split(':').next().unwrap()), "{target}");
    }
    // Whoever reaches an instance is an admin: nothing but proxies is published, and that on this machine.
    for name in &services {
        for port in compose["services"][*name]["ports"].as_sequence().into_iter().flatten() {
            assert!(["nginx", "prometheus", "grafana"].contains(name), "{name} publishes {port:?}");
            assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{name}: {port:?}");
        }
    }
}

#[test]
fn the_manifests_refer_to_what_there_is() {
    let kustomization = &yaml("kubernetes/kustomization.yaml")[0];
    let mut objects = Vec::new();
    for resource in kustomization["resources"].as_sequence().unwrap() {
        objects.extend(yaml(&format!("kubernetes/{}", resource.as_str().unwrap())));
    }
    let is = |kind: &str, name: &str| {
        objects
            .iter()
            .find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
            .unwrap_or_else(|| panic!("no {kind} {name}"))
    };
    let settings: toml::Table = text("kubernetes/shoal.toml").parse().unwrap();
    for (deployment, port) in [("shoal", 8000), ("shoal-worker", 9000)] {
        let template = &is("Deployment", deployment)["spec"]["template"];
        let pod = &template["spec"];
        assert_eq!(template["metadata"]["labels"]["app"], deployment);
        assert_eq!(is("PodDisruptionBudget", deployment)["spec"]["selector"]["matchLabels"]["app"], deployment);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        let container = &pod["containers"][0];
        assert_eq!(container["ports"][0]["containerPort"], port);
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            assert_eq!(container[probe]["httpGet"]["port"], container["ports"][0]["name"], "{probe}");
        }
        // What comes before the process is killed takes as long at most.
        let milliseconds =
            |section: &str, name: &str| settings.get(section).and_then(|found| found.get(name)?.as_integer());
        let delay = milliseconds("http", "shutdown_delay_ms").unwrap() / 1000;
        let drain = match deployment {
            "shoal" => delay + 3 * 10,
            _ => 10,
        };
        assert!(pod["terminationGracePeriodSeconds"].as_i64().unwrap() > drain, "{deployment} is killed too soon");
    }
    assert_eq!(is("HorizontalPodAutoscaler", "shoal")["spec"]["scaleTargetRef"]["name"], "shoal");
    assert_eq!(is("Service", "shoal")["spec"]["selector"]["app"], "shoal");
    is("NetworkPolicy", "shoal");
    // Readiness is noticed to be gone while requests are still served.
    let ready = &is("Deployment", "shoal")["spec"]["template"]["spec"]["containers"][0]["readinessProbe"];
    let noticed = ready["periodSeconds"].as_i64().unwrap() * ready["failureThreshold"].as_i64().unwrap();
    assert!(settings["http"]["shutdown_delay_ms"].as_integer().unwrap() >= 2000 * noticed);
}
