//! Who may enter, how much, and what of it reaches the model server.

mod addresses;
mod keys;
mod limits;
mod shaping;
mod signatures;
mod tokens;

use sha2::Digest;
use sha2::Sha256;
use std::fmt::Write;

use crate::support::*;

/// A secret and the line of it in the config.
pub(crate) const ALICE: &str = "rw_alice";
/// Another one.
pub(crate) const BOB: &str = "rw_bob";

/// What the config says instead of a secret.
pub(crate) fn digest(secret: &str) -> String {
    Sha256::digest(secret).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("memory");
        text
    })
}

/// The models `m` and `cheap` of one upstream, and further text.
pub(crate) fn world(url: &str, more: &str) -> String {
    format!("{}\n[[model]]\nname = \"cheap\"\nupstream = \"u\"\n\n{more}", one(url, ""))
}

/// Tenant `acme` with Alice's key, and these further lines.
pub(crate) fn acme(lines: &str) -> String {
    format!(
        "[[tenant]]\nname = \"acme\"\nkeys = [{{ id = \"alice\", sha256 = \"{}\" }}]\n{lines}\n",
        digest(ALICE)
    )
}

/// Tenant `zeta` with Bob's key, and these further lines.
pub(crate) fn zeta(lines: &str) -> String {
    format!(
        "[[tenant]]\nname = \"zeta\"\nkeys = [{{ id = \"bob\", sha256 = \"{}\" }}]\n{lines}\n",
        digest(BOB)
    )
}

/// A request with further field lines, each ending with CRLF.
pub(crate) fn with_fields(request: &str, fields: &str) -> String {
    request.replacen("\r\n", &format!("\r\n{fields}"), 1)
}

/// A request with a bearer's credential.
pub(crate) fn bearing(secret: &str, request: &str) -> String {
    with_fields(request, &format!("authorization: Bearer {secret}\r\n"))
}

/// The `code` of an error body.
pub(crate) fn code(answer: &Message) -> String {
    answer.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
}
