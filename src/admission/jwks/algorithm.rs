//! How tokens are signed (RFC 7518, section 3; RFC 8037).

macro_rules! algorithms {
    ($($(#[$doc:meta])* $name:ident $text:literal,)*) => {
        /// How a token is signed. There is no variant for a token that is not.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Algorithm { $($(#[$doc])* $name,)* }

        impl Algorithm {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name in a header (RFC 7518, section 3.1).
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The algorithm called `name`; names are case-sensitive. `Ed25519` is the other name of `EdDSA` (RFC 9864).
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$name),)* "Ed25519" => Some(Self::EdDsa), _ => None }
            }
        }
    };
}

algorithms! {
    /// HMAC with SHA-256.
    Hs256 "HS256",
    /// HMAC with SHA-384.
    Hs384 "HS384",
    /// HMAC with SHA-512.
    Hs512 "HS512",
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256 "RS256",
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384 "RS384",
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512 "RS512",
    /// RSASSA-PSS with SHA-256.
    Ps256 "PS256",
    /// RSASSA-PSS with SHA-384.
    Ps384 "PS384",
    /// RSASSA-PSS with SHA-512.
    Ps512 "PS512",
    /// ECDSA on P-256 with SHA-256.
    Es256 "ES256",
    /// ECDSA on P-384 with SHA-384.
    Es384 "ES384",
    /// Ed25519.
    EdDsa "EdDSA",
}

impl Algorithm {
    /// What the crate that verifies calls it.
    pub(super) fn of_crate(self) -> jsonwebtoken::Algorithm {
        use jsonwebtoken::Algorithm as Theirs;
        match self {
            Self::Hs256 => Theirs::HS256,
            Self::Hs384 => Theirs::HS384,
            Self::Hs512 => Theirs::HS512,
            Self::Rs256 => Theirs::RS256,
            Self::Rs384 => Theirs::RS384,
            Self::Rs512 => Theirs::RS512,
            Self::Ps256 => Theirs::PS256,
            Self::Ps384 => Theirs::PS384,
            Self::Ps512 => Theirs::PS512,
            Self::Es256 => Theirs::ES256,
            Self::Es384 => Theirs::ES384,
            Self::EdDsa => Theirs::EdDSA,
        }
    }
}
