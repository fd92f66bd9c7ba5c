//! `[[route]]`: which version of a model a request gets that does not say exactly which.

use crate::config::error::Place;
use crate::config::policy::Named;

/// `[[route]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where it begins.
    pub place: Place,
    /// The model's name, without a version: a model of the file has it.
    pub model: Named,
    /// `labels`: names for versions, such as `stable`; each stands for a version or a range.
    pub labels: Vec<(String, VersionSpec)>,
    /// `split`: the shares of versions in requests for the bare name; empty: the bare name means what it means without a route.
    pub split: Vec<Share>,
    /// By what a request is led to the same version each time; none: each is decided anew.
    pub sticky: Option<Sticky>,
    /// `match`: what leads a request for the bare name to a version, whatever the shares; the first that fits decides.
    pub matches: Vec<Match>,
    /// `shadow`: the version that gets copies.
    pub shadow: Option<Shadow>,
}

/// What is written for a version: a version, a label of the route or a range of versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionSpec {
    /// Where the file says so.
    pub place: Place,
    /// As it is written.
    pub text: String,
}

/// One entry of `split`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Which version.
    pub version: VersionSpec,
    /// Its share among the others.
    pub weight: u32,
}

/// By what a request is led to the same version each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sticky {
    /// The tenant.
    Tenant,
    /// The user that the body names.
    User,
    /// The value of a field, by the field's name in lower case.
    Header(String),
}

/// One entry of `match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// The field's name, in lower case.
    pub header: String,
    /// What its value must be; none: it must be there.
    pub value: Option<String>,
    /// Where the request goes then.
    pub version: VersionSpec,
}

/// `shadow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadow {
    /// Who gets copies; their answers are thrown away.
    pub version: VersionSpec,
    /// Of how many requests, in hundredths of a percent.
    pub share: u32,
}
