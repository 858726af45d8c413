//! The environment: read by name, with all mistakes found at once, and secrets that are never shown.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fmt;
use std::str::FromStr;

/// All mistakes found in the environment, one per line.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the environment is not usable:\n{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

/// A value that is never printed.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret. Name a good reason where you call this.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

/// A mistake was found, and is noted already.
pub(super) struct Noted;

/// The environment and the mistakes found in it so far. Readers return a usable default beside a mistake, so
/// that all mistakes are found; [`Env::finish`] then refuses.
#[derive(Debug, Default)]
pub struct Env {
    values: HashMap<String, String>,
    /// Names whose values are no text.
    unreadable: HashSet<String>,
    problems: Vec<String>,
}

impl Env {
    /// The environment of this process.
    pub fn process() -> Self {
        Self::of_system(std::env::vars_os())
    }

    /// Any environment. Empty values count as absent, as in a `.env` file.
    pub fn new(values: impl IntoIterator<Item = (String, String)>) -> Self {
        let values = values
            .into_iter()
            .filter(|(_, value)| !value.trim().is_empty())
            .collect();
        Self {
            values,
            ..Self::default()
        }
    }

    /// An environment as the system has it. What is no text is somebody else's, and a mistake only where we read it.
    pub(super) fn of_system(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let (mut values, mut unreadable) = (Vec::new(), HashSet::new());
        for (name, value) in variables {
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => values.push((name, value)),
                (Ok(name), Err(_)) => drop(unreadable.insert(name)),
                (Err(_), _) => {}
            }
        }
        Self {
            unreadable,
            ..Self::new(values)
        }
    }

    /// A value that may be absent. A mistake is noted and counts as absent.
    pub fn optional<T: FromStr>(&mut self, name: &str) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        self.read(name).unwrap_or(None)
    }

    pub(super) fn read<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, Noted>
    where
        T::Err: fmt::Display,
    {
        if self.unreadable.contains(name) {
            self.problem(name, "is not UTF-8");
            return Err(Noted);
        }
        let Some(text) = self.values.get(name) else {
            return Ok(None);
        };
        text.trim().parse().map(Some).map_err(|error: T::Err| {
            // The error's own words are ours or the standard library's and don't repeat the value.
            self.problems.push(format!("{name}: {error}"));
            Noted
        })
    }

    /// A value with a default.
    pub fn or<T: FromStr>(&mut self, name: &str, default: T) -> T
    where
        T::Err: fmt::Display,
    {
        self.optional(name).unwrap_or(default)
    }

    /// A value that must be there; its absence is noted with `hint`, and the default of the type returned.
    pub fn required<T: FromStr>(&mut self, name: &str, hint: &str) -> Option<T>
    where
        T::Err: fmt::Display,
    {
        if !self.values.contains_key(name) && !self.unreadable.contains(name) {
            self.problems.push(format!("{name}: is not set ({hint})"));
        }
        self.optional(name)
    }

    /// Notes a mistake that a caller found.
    pub fn problem(&mut self, name: &str, problem: impl fmt::Display) {
        self.problems.push(format!("{name}: {problem}"));
    }

    /// Refuses if any mistake was noted.
    ///
    /// # Errors
    /// [`ConfigError`] with all of them.
    pub fn finish(self) -> Result<(), ConfigError> {
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(ConfigError(self.problems))
        }
    }
}
