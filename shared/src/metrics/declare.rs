//! How labels are declared: those of a closed set, those that may also be none of it, and those that something else bounds.
//!
//! Knows no label.

/// Declares labels whose values are the variants of an enum made by `named`.
macro_rules! closed {
    ($($Type:ty as $name:literal,)+) => { $(
        impl $crate::metrics::Label for $Type {
            const NAME: &'static str = $name;
            const VALUES: $crate::metrics::Values = $crate::metrics::Values::Closed(&{
                let (mut values, mut at) = ([""; <$Type>::ALL.len()], 0);
                while at < values.len() {
                    values[at] = <$Type>::ALL[at].as_str();
                    at += 1;
                }
                values
            });

            fn text(&self) -> ::metrics::SharedString {
                ::metrics::SharedString::const_str(self.as_str())
            }

            fn place(&self) -> Option<usize> {
                Some(*self as usize)
            }
        }
    )+ };
}

/// Declares labels that are one of another label's values, or `none`.
macro_rules! optional {
    ($($(#[$meta:meta])* $Type:ident($Inner:ty) as $name:literal;)+) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub struct $Type(pub Option<$Inner>);

        impl $crate::metrics::Label for $Type {
            const NAME: &'static str = $name;
            const VALUES: $crate::metrics::Values = $crate::metrics::Values::Closed(&{
                let (mut values, mut at) = (["none"; <$Inner>::ALL.len() + 1], 0);
                while at < <$Inner>::ALL.len() {
                    values[at] = <$Inner>::ALL[at].as_str();
                    at += 1;
                }
                values
            });

            fn text(&self) -> ::metrics::SharedString {
                ::metrics::SharedString::const_str(self.0.map_or("none", <$Inner>::as_str))
            }

            fn place(&self) -> Option<usize> {
                Some(self.0.map_or(<$Inner>::ALL.len(), |one| one as usize))
            }
        }
    )+ };
}

/// A label whose values the code does not list; what bounds them stands beside its name.
macro_rules! bounded {
    ($($(#[$meta:meta])* $Type:ident($Inner:ty) as $name:literal, $bound:literal, |$inner:ident| $text:expr;)+) => { $(
        $(#[$meta])*
        #[derive(Clone, Debug)]
        pub struct $Type(pub $Inner);

        impl $crate::metrics::Label for $Type {
            const NAME: &'static str = $name;
            const VALUES: $crate::metrics::Values = $crate::metrics::Values::Bounded($bound);

            fn text(&self) -> ::metrics::SharedString {
                let $inner = &self.0;
                $text
            }

            fn place(&self) -> Option<usize> {
                None
            }
        }
    )+ };
}

pub(super) use {bounded, closed, optional};
