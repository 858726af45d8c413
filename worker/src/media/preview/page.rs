//! What a page says of itself: Open Graph's words, else those of HTML.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};
use html5gum::{StartTag, Token, Tokenizer};

/// Most characters of a title that are shown.
const TITLE_MAX_CHARS: usize = 256;
/// Most characters of a description.
const DESCRIPTION_MAX_CHARS: usize = 512;

/// What a page says of itself.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Page {
    pub(super) title: Option<String>,
    pub(super) description: Option<String>,
    /// Where its picture is, as it says.
    pub(super) picture: Option<String>,
}

/// What is found on the way, the best last.
#[derive(Default)]
struct Found {
    title: Option<String>,
    og_title: Option<String>,
    description: Option<String>,
    og_description: Option<String>,
    picture: Option<String>,
    og_picture: Option<String>,
    encoding: Option<&'static Encoding>,
}

/// The encoding that a content type names.
pub(super) fn encoding(content_type: &str) -> Option<&'static Encoding> {
    let (_, label) = content_type.split_once("charset=")?;
    let label = label.split(';').next()?.trim().trim_matches('"');
    Encoding::for_label(label.as_bytes())
}

impl Page {
    /// Reads what there is of a page, in the encoding that its host or it itself names.
    pub(super) fn read(bytes: &[u8], told: Option<&'static Encoding>) -> Self {
        let read = |encoding: &'static Encoding| Found::read(&encoding.decode(bytes).0);
        let found = read(told.unwrap_or(UTF_8));
        let found = match (told, found.encoding) {
            (None, Some(own)) if own != UTF_8 => read(own),
            _ => found,
        };
        let words = |best: Option<String>, other: Option<String>, most| {
            [best, other]
                .into_iter()
                .flatten()
                .find_map(|text| clean(&text, most))
        };
        Self {
            title: words(found.og_title, found.title, TITLE_MAX_CHARS),
            description: words(found.og_description, found.description, DESCRIPTION_MAX_CHARS),
            picture: found.og_picture.or(found.picture),
        }
    }
}

impl Found {
    fn read(text: &str) -> Self {
        let (mut found, mut is_title) = (Self::default(), false);
        for token in Tokenizer::new(text) {
            let Ok(token) = token;
            match token {
                Token::StartTag(tag) if tag.name.as_slice() == b"meta" => found.meta(&tag),
                Token::StartTag(tag) if tag.name.as_slice() == b"title" => is_title = found.title.is_none(),
                // What follows is shown, and says nothing of the page.
                Token::StartTag(tag) if tag.name.as_slice() == b"body" => break,
                Token::EndTag(tag) if tag.name.as_slice() == b"title" => is_title = false,
                Token::String(words) if is_title => {
                    let title = found.title.get_or_insert_default();
                    title.push_str(&String::from_utf8_lossy(&words));
                }
                _ => {}
            }
        }
        found
    }

    fn meta(&mut self, tag: &StartTag<()>) {
        let read = |name: &str| {
            tag.attributes
                .get(name.as_bytes())
                .map(|value| String::from_utf8_lossy(value))
        };
        if let Some(label) = read("charset") {
            self.encoding = Encoding::for_label(label.trim().as_bytes());
        }
        let Some(content) = read("content") else { return };
        if read("http-equiv").is_some_and(|name| name.eq_ignore_ascii_case("content-type")) {
            self.encoding = encoding(&content.to_ascii_lowercase());
        }
        let name = read("property").or_else(|| read("name")).map(Cow::into_owned);
        let place = match name.as_deref().map(str::trim) {
            Some("og:title") => &mut self.og_title,
            Some("og:description") => &mut self.og_description,
            Some("og:image" | "og:image:url" | "og:image:secure_url") => &mut self.og_picture,
            Some("twitter:title") => &mut self.title,
            Some("description" | "twitter:description") => &mut self.description,
            Some("twitter:image") => &mut self.picture,
            _ => return,
        };
        if !content.trim().is_empty() {
            place.get_or_insert_with(|| content.trim().to_owned());
        }
    }
}

/// A text on one line without what can't be shown; `None` if nothing is left.
fn clean(text: &str, most: usize) -> Option<String> {
    let words: Vec<&str> = text
        .split(|char: char| char.is_whitespace() || char.is_control())
        .collect();
    let line = words
        .into_iter()
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    let line: String = line.chars().take(most).collect();
    (!line.is_empty()).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Page {
        Page::read(text.as_bytes(), None)
    }

    #[test]
    fn what_it_says_for_others_counts_before_what_it_says_at_all() {
        let told = page(
            r#"<!doctype html><html><head><title>Shop &amp; more</title>
            <meta name="description" content="All we sell">
            <META PROPERTY='og:title' CONTENT='Flowers &#8211; the shop'><meta property=og:image content=/a.jpg>
            <meta property="og:description" content="  Red
              and blue "></head><body><meta property="og:title" content="No"></body>"#,
        );
        let wanted = Page {
            title: Some("Flowers – the shop".to_owned()),
            description: Some("Red and blue".to_owned()),
            picture: Some("/a.jpg".to_owned()),
        };
        assert_eq!(told, wanted);
        let plain = page("<title>Shop &amp; more</title><meta name=description content=all>");
        assert_eq!(plain.title.as_deref(), Some("Shop & more"));
        assert_eq!(plain.description.as_deref(), Some("all"));
        assert_eq!(page("nothing <b>here</b>"), Page::default());
        assert_eq!(
            page("<meta property=og:title content=' '><title> </title>"),
            Page::default()
        );
    }

    #[test]
    fn it_is_read_in_its_own_encoding() {
        let latin = b"<meta charset=iso-8859-1><title>Caf\xe9</title>";
        assert_eq!(Page::read(latin, None).title.as_deref(), Some("Café"));
        let latin = b"<title>Caf\xe9</title>";
        assert_eq!(
            Page::read(latin, encoding("text/html; charset=ISO-8859-1"))
                .title
                .as_deref(),
            Some("Café")
        );
        assert_eq!(page("<title>Café</title>").title.as_deref(), Some("Café"));
    }

    #[test]
    fn what_is_long_or_broken_is_cut() {
        let long = page(&format!("<title>{}</title>", "é".repeat(5_000)));
        assert_eq!(long.title.unwrap().chars().count(), TITLE_MAX_CHARS);
        assert_eq!(
            page("<title>a\0b")
                .title
                .as_deref()
                .map(|title| title.contains('\0')),
            Some(false)
        );
        assert_eq!(page("<meta property=\"og:title\" content=\"cut"), Page::default());
    }
}
