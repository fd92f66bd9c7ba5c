//! Public keys in PEM: what stands in a SubjectPublicKeyInfo (RFC 5280, 5480, 8410), for the kinds we verify with.

use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject;

/// A public key as its kind wants it.
pub(super) enum Public {
    /// RSAPublicKey in DER, and the modulus alone.
    Rsa { der: Vec<u8>, modulus: Vec<u8> },
    /// An uncompressed point on P-256.
    P256(Vec<u8>),
    /// An uncompressed point on P-384.
    P384(Vec<u8>),
    /// Ed25519.
    Ed25519(Vec<u8>),
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
/// The contents of each kind's AlgorithmIdentifier.
const RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
const P256: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const P384: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22";
const ED25519: &[u8] = b"\x06\x03\x2b\x65\x70";

/// The first public key of a PEM text; `None` if there is none that we know.
pub(super) fn public(text: &[u8]) -> Option<Public> {
    let info = SubjectPublicKeyInfoDer::from_pem_slice(text).ok()?;
    let (info, rest) = element(info.as_ref(), SEQUENCE)?;
    let (algorithm, key) = element(info, SEQUENCE)?;
    let (key, behind) = element(key, BIT_STRING)?;
    // The first byte counts the bits that are not used.
    let (unused, key) = key.split_first()?;
    if !rest.is_empty() || !behind.is_empty() || *unused != 0 {
        return None;
    }
    Some(match algorithm {
        RSA => Public::Rsa { der: key.to_vec(), modulus: modulus(key)?.to_vec() },
        P256 => Public::P256(key.to_vec()),
        P384 => Public::P384(key.to_vec()),
        ED25519 => Public::Ed25519(key.to_vec()),
        _ => return None,
    })
}

/// The first number of an RSAPublicKey, without the zero that only says that it is not negative.
fn modulus(der: &[u8]) -> Option<&[u8]> {
    let (numbers, rest) = element(der, SEQUENCE)?;
    let (modulus, _) = element(numbers, INTEGER)?;
    rest.is_empty().then(|| modulus.strip_prefix(b"\0").unwrap_or(modulus))
}

/// The contents of the element at the beginning, and what is behind it.
fn element(der: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81 => {
            let (length, rest) = rest.split_first()?;
            (usize::from(*length), rest)
        }
        0x82 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        _ => return None,
    };
    (*found == kind).then(|| rest.split_at_checked(length)).flatten()
}
