//! A walk through the texts of a content: each with its field, to be looked at or changed.

use std::fmt::Arguments;

/// Goes through the texts of a content. Fields are put into words only by who asks for them.
pub(super) struct Texts<'a> {
    each: &'a mut dyn FnMut(Arguments<'_>, &mut String),
}

impl<'a> Texts<'a> {
    pub(super) fn new(each: &'a mut dyn FnMut(Arguments<'_>, &mut String)) -> Self {
        Self { each }
    }

    /// A text that there always is.
    pub(super) fn text(&mut self, field: Arguments<'_>, text: &mut String) {
        (self.each)(field, text);
    }

    /// A text that may be absent. One that nothing is left of is absent from then on.
    pub(super) fn some(&mut self, field: Arguments<'_>, text: &mut Option<String>) {
        let Some(words) = text.as_mut().filter(|words| !words.is_empty()) else {
            return;
        };
        (self.each)(field, words);
        if words.is_empty() {
            *text = None;
        }
    }

    /// The texts of what lies within `outer`.
    pub(super) fn within(&mut self, outer: Arguments<'_>, inner: impl FnOnce(&mut Texts<'_>)) {
        let each = &mut *self.each;
        inner(&mut Texts {
            each: &mut |field, text| each(format_args!("{outer}.{field}"), text),
        });
    }
}
