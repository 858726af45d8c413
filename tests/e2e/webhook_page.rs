//! What docs/WEBHOOKS.md says of signatures, run as it stands there against posts that really came.
//!
//! The blocks in Python and JavaScript are run. Those in Go and PHP are run where `go` and `php` are installed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use tests::cluster::Cluster;
use tests::folder::Folder;
use tests::receiver::{Attempt, Receiver};
use tokio::io::AsyncWriteExt;

/// How long a verifier may take; Go compiles first.
const PATIENCE: Duration = Duration::from_secs(120);

const PYTHON: &str = r#"
import base64, json, sys
from page import verify
asked = json.load(sys.stdin)
print("verified" if verify(asked["secret"], asked["headers"], base64.b64decode(asked["body"])) else "refused")
"#;

const NODE: &str = r#"
import { readFileSync } from "node:fs";
import { verify } from "./page.mjs";
const asked = JSON.parse(readFileSync(0, "utf8"));
console.log(verify(asked.secret, asked.headers, Buffer.from(asked.body, "base64")) ? "verified" : "refused");
"#;

const PHP: &str = r#"<?php
require 'page.php';
$asked = json_decode(stream_get_contents(STDIN), true);
echo verify($asked['secret'], $asked['headers'], base64_decode($asked['body'])) ? 'verified' : 'refused';
"#;

const GO: &str = r#"package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"

	"page/webhook"
)

func main() {
	var asked struct {
		Secret  string
		Headers map[string]string
		Body    []byte
	}
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		panic(err)
	}
	headers := http.Header{}
	for name, value := range asked.Headers {
		headers.Set(name, value)
	}
	if webhook.Verify(asked.Secret, headers, asked.Body, 5*time.Minute) {
		fmt.Println("verified")
	} else {
		fmt.Println("refused")
	}
}
"#;

/// A block of the page, and how it is run.
struct Verifier {
    folder: Folder,
    program: String,
    arguments: Vec<&'static str>,
}

impl Verifier {
    fn new(program: &str, arguments: &[&'static str], files: &[(&str, &str)]) -> Result<Self> {
        let folder = Folder::new()?;
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().context("a file in a folder")?)?;
            std::fs::write(path, text)?;
        }
        Ok(Self {
            folder,
            program: program.to_owned(),
            arguments: arguments.to_vec(),
        })
    }

    /// Whether a post is taken for ours.
    async fn verifies(&self, secret: &str, attempt: &Attempt, body: &[u8]) -> Result<bool> {
        let headers: Value = attempt
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap_or_default())))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let asked = json!({ "secret": secret, "headers": headers, "body": STANDARD.encode(body) });
        let mut child = tokio::process::Command::new(&self.program)
            .args(&self.arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| self.program.clone())?;
        let mut stdin = child.stdin.take().context("its input")?;
        stdin.write_all(asked.to_string().as_bytes()).await?;
        drop(stdin);
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await??;
        let said = String::from_utf8_lossy(&output.stdout);
        match said.trim() {
            "verified" => Ok(true),
            "refused" => Ok(false),
            _ => anyhow::bail!(
                "{}: {said}{}",
                self.program,
                String::from_utf8_lossy(&output.stderr)
            ),
        }
    }
}

fn page() -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/WEBHOOKS.md");
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// The block of a language, as it stands in the page.
fn block<'a>(page: &'a str, language: &str) -> Result<&'a str> {
    let start = format!("```{language}\n");
    let (_, rest) = page
        .split_once(&start)
        .with_context(|| format!("no block of {language}"))?;
    let (block, _) = rest.split_once("```").context("the block does not end")?;
    Ok(block)
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder: PathBuf| folder.join(program).is_file())
}

fn verifiers() -> Result<Vec<Verifier>> {
    let page = page()?;
    let python = std::env::var("FANFARE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let (of_python, of_node) = (block(&page, "python")?, block(&page, "js")?);
    let (of_go, of_php) = (block(&page, "go")?, block(&page, "php")?);
    let mut verifiers = vec![
        Verifier::new(
            &python,
            &["main.py"],
            &[("page.py", of_python), ("main.py", PYTHON)],
        )?,
        Verifier::new(
            "node",
            &["main.mjs"],
            &[("page.mjs", of_node), ("main.mjs", NODE)],
        )?,
    ];
    if is_installed("php") {
        let files = [("page.php", of_php), ("main.php", PHP)];
        verifiers.push(Verifier::new("php", &["main.php"], &files)?);
    }
    if is_installed("go") {
        let module = ("go.mod", "module page\n\ngo 1.21\n");
        let files = [module, ("webhook/page.go", of_go), ("main.go", GO)];
        verifiers.push(Verifier::new("go", &["run", "."], &files)?);
    }
    Ok(verifiers)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_blocks_of_the_page_verify_what_is_posted_and_nothing_else() -> Result<()> {
    let cluster = Cluster::start(0).await?;
    let receiver = Receiver::start("127.0.0.1:0".parse()?).await?;
    let operator = &cluster.operator;
    let (status, hook) = operator
        .post("/v1/webhooks", json!({ "url": receiver.url() }))
        .await?;
    ensure!(status.is_success(), "{status}: {hook}");
    let path = format!("/v1/webhooks/{}", hook["id"].as_str().context("an id")?);
    let first = hook["secret"].as_str().context("a secret")?.to_owned();

    let (status, tested) = operator.post(&format!("{path}/test"), json!({})).await?;
    ensure!(
        status == 200 && tested["state"] == "delivered" && tested["lastStatus"] == 204,
        "{status}: {tested}"
    );
    let rotated = operator
        .request(Method::PATCH, &path)
        .json(&json!({ "secret": "rotate" }))
        .send()
        .await?
        .json::<Value>()
        .await?;
    let second = rotated["secret"].as_str().context("another secret")?.to_owned();
    let (status, tested) = operator.post(&format!("{path}/test"), json!({})).await?;
    ensure!(status == 200, "{status}: {tested}");

    let attempts = receiver.attempts();
    let [with_one, with_two] = attempts.as_slice() else {
        anyhow::bail!("{} posts", attempts.len());
    };
    ensure!(with_one.json()["event"] == "webhook.test", "{}", with_one.json());
    for verifier in verifiers()? {
        let name = &verifier.program;
        for (secret, attempt, wanted) in [
            (&first, with_one, true),
            (&second, with_one, false),
            (&first, with_two, true),
            (&second, with_two, true),
        ] {
            let verified = verifier.verifies(secret, attempt, &attempt.body).await?;
            ensure!(
                verified == wanted,
                "{name}: {verified} for a post with {:?}",
                attempt.headers
            );
        }
        let mut forged = with_one.body.to_vec();
        forged.push(b' ');
        ensure!(
            !verifier.verifies(&first, with_one, &forged).await?,
            "{name}: another body"
        );
        let mut old = with_one.clone();
        old.headers.insert("webhook-timestamp", "1700000000".parse()?);
        ensure!(
            !verifier.verifies(&first, &old, &old.body).await?,
            "{name}: an old post"
        );
    }
    Ok(())
}
