//! Signed requests: who may sign, and whether one is signed.

use crate::admission::refusal::Refusal;
use crate::units::TenantId;
use crate::wire::head::RequestHead;

/// Who may sign requests.
#[derive(Debug, Default)]
pub struct Signers {
    /// How far a signature's time may be from ours, in seconds.
    pub window_s: u64,
}

/// A signature that is right, so far as the head goes.
#[derive(Debug)]
pub struct Verified {
    pub tenant: Option<TenantId>,
    pub fingerprint: u64,
    pub created_unix_s: u64,
}

/// Verifies a request's signature.
///
/// # Errors
/// What is wrong with it.
pub fn verify(
    head: &RequestHead<'_, '_>,
    signers: &Signers,
    window_s: u64,
    now_unix_s: u64,
) -> Result<Verified, Refusal> {
    let _ = (head, signers, window_s, now_unix_s);
    Err(Refusal::SignatureMalformed)
}
