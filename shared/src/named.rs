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
        }
    };
}
pub(crate) use named;
