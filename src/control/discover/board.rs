//! What sources have said, and what is believed of it.

/// One source of one upstream, in one datacenter.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::control) struct SourceId {
    /// The upstream's name in the file.
    pub(in crate::control) upstream: String,
    /// What the file says of the source, in short: `DiscoverSource::describe`.
    pub(in crate::control) entry: String,
    /// Consul's datacenter, where the file names some.
    pub(in crate::control) datacenter: Option<String>,
}
