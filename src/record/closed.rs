//! The one macro behind every closed list of labels: an enum whose variants know their index and their label.

/// Declares an enum together with `ALL`, `COUNT`, `index()` and `label()`.
///
/// Labels come from here or from a snapshot and from nowhere else, so the number of series is known beforehand.
macro_rules! closed {
    (
        $(#[$outer:meta])*
        pub enum $name:ident { $( $(#[$inner:meta])* $variant:ident => $label:literal, )* }
    ) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name { $( $(#[$inner])* $variant, )* }

        impl $name {
            /// Every variant, in the order of `index()`.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )* ];
            /// How many variants there are.
            pub const COUNT: usize = Self::ALL.len();

            /// Place of this variant in `ALL`.
            #[must_use]
            pub const fn index(self) -> usize {
                self as usize
            }

            /// The variant's name in metrics and in the access log: snake case, never changed once published.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $( Self::$variant => $label, )* }
            }
        }
    };
}

pub(crate) use closed;
