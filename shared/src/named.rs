//! Enums whose variants go by a text: the text, the list of all and the way back from a text are written once.

/// Declares an enum whose variants are written and read as the texts that stand behind them.
macro_rules! named {
    ($(#[$meta:meta])* $Name:ident { $($(#[$doc:meta])* $Variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd,
            serde::Serialize, serde::Deserialize, schemars::JsonSchema,
        )]
        pub enum $Name {
            $($(#[$doc])* #[serde(rename = $text)] $Variant,)+
        }

        impl $Name {
            /// All of them.
            pub const ALL: [Self; [$($text),+].len()] = [$(Self::$Variant),+];

            /// The text it goes by.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$Variant => $text,)+ }
            }

            /// The one that goes by a text.
            pub fn find(text: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|one| one.as_str() == text)
            }

            /// Why a text is none of them, to be read behind a field's name.
            pub fn must_be() -> String {
                format!("must be one of {}", Self::ALL.map(Self::as_str).join(", "))
            }
        }
    };
}
pub(crate) use named;

/// [`named`], for states that the database holds as the numbers before their texts.
macro_rules! stored {
    ($(#[$meta:meta])* $Name:ident { $($(#[$doc:meta])* $Variant:ident = $code:literal $text:literal,)+ }) => {
        $crate::named::named! { $(#[$meta])* $Name { $($(#[$doc])* $Variant = $text,)+ } }

        impl $Name {
            pub(crate) const fn code(self) -> i16 {
                match self { $(Self::$Variant => $code,)+ }
            }

            pub(crate) fn from_code(code: i16) -> Option<Self> {
                Self::ALL.into_iter().find(|one| one.code() == code)
            }
        }
    };
}
pub(crate) use stored;
