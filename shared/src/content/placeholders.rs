//! Placeholders in texts: `{{name}}`, and `{{name|there}}` with what stands in its place where there is no such variable.
//!
//! Pure. Blanks around the name and around the default do not count; `{{{{` is a literal `{{`.

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// It stands as it is.
    Text(&'a str),
    /// A variable goes here.
    Place {
        /// Its name.
        name: &'a str,
        /// What goes here without it.
        default: Option<&'a str>,
    },
}

/// A text can't be divided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// The character that the placeholder begins at, from 1.
    at: usize,
    why: &'static str,
}

impl Broken {
    /// What is wrong, to be read behind the name of the text's field.
    pub(super) fn problem(&self) -> String {
        let Self { at, why } = self;
        format!("has a placeholder at character {at} that {why}; a literal {{{{ is written {{{{{{{{")
    }
}

/// Divides a text.
pub(super) fn pieces(text: &str) -> Pieces<'_> {
    Pieces { text, at: 0 }
}

/// The parts of a text, in their order; ends behind one that is broken.
pub(super) struct Pieces<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = Result<Piece<'a>, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let opening = rest.find(OPENS).unwrap_or(rest.len());
        if opening > 0 {
            self.at += opening;
            return Some(Ok(Piece::Text(&rest[..opening])));
        }
        if rest.starts_with(LITERAL) {
            self.at += LITERAL.len();
            return Some(Ok(Piece::Text(OPENS)));
        }
        let start = self.at;
        let inner = &rest[OPENS.len()..];
        let piece = match inner.find(CLOSES) {
            Some(end) => {
                self.at += OPENS.len() + end + CLOSES.len();
                place(&inner[..end])
            }
            None => Err("is not closed by }}"),
        };
        Some(piece.map_err(|why| {
            self.at = self.text.len();
            Broken {
                at: self.text[..start].chars().count() + 1,
                why,
            }
        }))
    }
}

fn place(inner: &str) -> Result<Piece<'_>, &'static str> {
    let (name, default) = match inner.split_once('|') {
        Some((name, default)) => (name.trim(), Some(default.trim())),
        None => (inner.trim(), None),
    };
    if name.is_empty() {
        return Err("names no variable");
    }
    if !is_name(name) {
        return Err("names what can be no variable");
    }
    if default.is_some_and(|default| default.contains('{')) {
        return Err("has a { in its default");
    }
    Ok(Piece::Place { name, default })
}

/// Whether a variable may be called so: 1 to [`NAME_MAX`] characters, no blank at either end, none of `{`, `}` and `|`, and
/// no control character. So the heads of most columns of most sheets are names.
pub(super) fn is_name(text: &str) -> bool {
    let fits = (1..=NAME_MAX).contains(&text.chars().count()) && text.trim() == text;
    fits && !text.contains(|c: char| matches!(c, '{' | '}' | '|') || c.is_control())
}

/// Most characters of a variable's name.
pub(super) const NAME_MAX: usize = 64;
const OPENS: &str = "{{";
const CLOSES: &str = "}}";
/// What is written for a literal [`OPENS`].
const LITERAL: &str = "{{{{";

#[cfg(test)]
mod tests {
    use super::*;

    fn divided(text: &str) -> Vec<Result<Piece<'_>, Broken>> {
        pieces(text).collect()
    }

    fn place(name: &'static str, default: Option<&'static str>) -> Result<Piece<'static>, Broken> {
        Ok(Piece::Place { name, default })
    }

    #[test]
    fn a_text_is_divided_at_its_placeholders() {
        assert_eq!(divided(""), []);
        assert_eq!(
            divided("no { or } or }} here"),
            [Ok(Piece::Text("no { or } or }} here"))]
        );
        assert_eq!(
            divided("Olá {{ Nome próprio }}, {{city|}}{{x| there }}!"),
            [
                Ok(Piece::Text("Olá ")),
                place("Nome próprio", None),
                Ok(Piece::Text(", ")),
                place("city", Some("")),
                place("x", Some("there")),
                Ok(Piece::Text("!")),
            ]
        );
        assert_eq!(
            divided("a {{{{b}} {{c}}"),
            [
                Ok(Piece::Text("a ")),
                Ok(Piece::Text("{{")),
                Ok(Piece::Text("b}} ")),
                place("c", None)
            ]
        );
    }

    #[test]
    fn what_is_broken_is_named_by_its_place() {
        let problem = |text: &str| divided(text).pop().unwrap().unwrap_err();
        for (text, at, why) in [
            ("é {{name", 3, "is not closed by }}"),
            ("{{}}", 1, "names no variable"),
            ("{{ |x}}", 1, "names no variable"),
            ("{{{name}}}", 1, "names what can be no variable"),
            ("{{a\nb}}", 1, "names what can be no variable"),
            ("ok {{a|{{b}}}}", 4, "has a { in its default"),
        ] {
            assert_eq!(problem(text), Broken { at, why }, "{text}");
        }
        assert_eq!(
            problem("{{a").problem(),
            "has a placeholder at character 1 that is not closed by }}; a literal {{ is written {{{{"
        );
        assert!(!is_name(&"x".repeat(NAME_MAX + 1)));
    }
}
