//! What makes control look at the world again.

/// Why the world is looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The process starts.
    Start,
    /// SIGHUP.
    Hangup,
    /// A file was written.
    FileChanged,
    /// Asked for on the admin listener.
    Asked,
    /// A name leads elsewhere.
    NamesMoved,
    /// An issuer of tokens has other keys.
    KeysFetched,
    /// Registries or names say other endpoints.
    Discovered,
    /// A registry holds another config.
    RegistryChanged,
}

impl Why {
    /// A word for logs and pages.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Hangup => "hangup",
            Self::FileChanged => "file_changed",
            Self::Asked => "asked",
            Self::NamesMoved => "names_moved",
            Self::KeysFetched => "keys_fetched",
            Self::Discovered => "discovered",
            Self::RegistryChanged => "registry_changed",
        }
    }
}
