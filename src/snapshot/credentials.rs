//! How upstreams know who we are, or which tenant of ours asks.

use crate::config;
use crate::config::Error;
use crate::config::File;
use crate::snapshot::Secret;
use crate::snapshot::World;
use crate::units::UpstreamId;

/// The field lines that show upstreams which tenant asks.
pub(super) fn of_tenants(
    file: &File,
    world: &World,
    errors: &mut Vec<Error>,
) -> Vec<Box<[(UpstreamId, Secret)]>> {
    let of_tenant = |tenant: &config::Tenant| {
        let mut fields = Vec::new();
        for (named, source) in &tenant.upstream_keys {
            let upstreams = (0..).map(UpstreamId).zip(&file.upstreams);
            let mut upstreams = upstreams.filter(|(_, u)| u.base == named.name).peekable();
            let Some((_, first)) = upstreams.peek() else { continue };
            let field = credential(file, source, first.dialect, world, errors);
            let Some(field) = field else { continue };
            // Parts of an upstream are asked as all of it is.
            fields.extend(upstreams.map(|(id, _)| (id, field.clone())));
        }
        fields.sort_by_key(|(id, _)| *id);
        fields.into()
    };
    file.tenants.iter().map(of_tenant).collect()
}

/// What operators show at the admin listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminToken {
    /// The token itself.
    pub secret: Secret,
    /// Where it is from, for people.
    pub from: String,
}

/// The token of the admin listener, if the file names one.
pub(super) fn admin_token(
    file: &File,
    world: &World,
    errors: &mut Vec<Error>,
) -> Option<AdminToken> {
    let source = file.admin.token.as_ref()?;
    let secret = key(file, source, world, errors)?.clone();
    Some(AdminToken { secret, from: source.from.describe() })
}

/// The field line that an upstream knows us by.
pub(super) fn credential(
    file: &File,
    source: &config::KeySource,
    dialect: config::Dialect,
    world: &World,
    errors: &mut Vec<Error>,
) -> Option<Secret> {
    let key = key(file, source, world, errors)?.expose();
    let name: &[u8] = match dialect {
        config::Dialect::OpenAi => b"authorization: Bearer ",
        config::Dialect::Anthropic => b"x-api-key: ",
    };
    Some(Secret::new([name, key, b"\r\n"].concat()))
}

/// A secret that can stand in a field.
fn key<'w>(
    file: &File,
    source: &config::KeySource,
    world: &'w World,
    errors: &mut Vec<Error>,
) -> Option<&'w Secret> {
    let from = source.from.describe();
    let Some(secret) = world.secrets.get(&source.from) else {
        errors.push(file.error(&source.place, format!("{from} has not been read")));
        return None;
    };
    let key = secret.expose();
    if key.is_empty() {
        errors.push(file.error(&source.place, format!("{from} is empty: put the key there")));
        return None;
    }
    if let Some(at) = key.iter().position(|byte| !(0x21..=0x7e).contains(byte)) {
        let text = format!(
            "{from} holds what is not a key: byte {} of {} is a space, a control character or \
             not ASCII",
            at + 1,
            key.len()
        );
        errors.push(file.error(&source.place, text));
        return None;
    }
    Some(secret)
}
