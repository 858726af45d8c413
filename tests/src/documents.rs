//! YAML files of the tree, read by the tests' Python: no parser of ours decides what they say.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// The Python of the tests.
///
/// # Errors
/// When `make test` did not set it.
pub fn python() -> Result<PathBuf> {
    let python = std::env::var_os("FANFARE_PYTHON");
    let python =
        python.context("FANFARE_PYTHON: `make test` sets it to a Python with tests/*/requirements.txt")?;
    Ok(python.into())
}

const READ: &str =
    "import json, sys, yaml; json.dump(list(yaml.safe_load_all(open(sys.argv[1]))), sys.stdout)";

/// All documents of a file.
///
/// # Errors
/// When it can't be read.
pub fn yaml(file: &Path) -> Result<Vec<Value>> {
    let read = Command::new(python()?)
        .args(["-c", READ])
        .arg(file)
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&read.stderr);
    ensure!(read.status.success(), "{}: {said}", file.display());
    serde_json::from_slice(&read.stdout).with_context(|| file.display().to_string())
}
