//! What jsonwebtoken computes with: ring, the same cryptography that TLS uses.

use std::sync::Once;

use jsonwebtoken::Algorithm;
use jsonwebtoken::AlgorithmFamily;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::DecodingKeyKind;
use jsonwebtoken::EncodingKey;
use jsonwebtoken::crypto::CryptoProvider;
use jsonwebtoken::crypto::JwtSigner;
use jsonwebtoken::crypto::JwtVerifier;
use jsonwebtoken::crypto::KeyUtils;
use jsonwebtoken::errors::Error;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::errors::new_error;
use jsonwebtoken::signature;
use ring::hmac;
use ring::signature as shapes;

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: refuse_to_sign,
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes ring the process's provider for tokens. A program that embeds the library and chose another one before keeps
/// that: what may be verified with which key is decided before it is asked.
pub(super) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        PROVIDER.install_default().ok();
    });
}

/// A gateway verifies; it has no key to sign with.
fn refuse_to_sign(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    Err(new_error(ErrorKind::UnsupportedAlgorithm))
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    if algorithm.family() != key.family() {
        return Err(new_error(ErrorKind::InvalidAlgorithm));
    }
    Ok(Box::new(Verifier { algorithm: *algorithm, key: key.clone() }))
}

struct Verifier {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl JwtVerifier for Verifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl signature::Verifier<Vec<u8>> for Verifier {
    fn verify(&self, message: &[u8], given: &Vec<u8>) -> Result<(), signature::Error> {
        let is_right = match (self.key.family(), self.key.kind()) {
            (AlgorithmFamily::Hmac, DecodingKeyKind::SecretOrDer(secret)) => {
                mac(self.algorithm).map(|algorithm| {
                    // In constant time.
                    hmac::verify(&hmac::Key::new(algorithm, secret), message, given).is_ok()
                })
            }
            (AlgorithmFamily::Rsa, DecodingKeyKind::SecretOrDer(der)) => {
                rsa(self.algorithm).map(|algorithm| {
                    shapes::UnparsedPublicKey::new(algorithm, der).verify(message, given).is_ok()
                })
            }
            (AlgorithmFamily::Rsa, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                let key = shapes::RsaPublicKeyComponents { n, e };
                rsa(self.algorithm).map(|algorithm| key.verify(algorithm, message, given).is_ok())
            }
            (_, DecodingKeyKind::SecretOrDer(point)) => curve(self.algorithm).map(|algorithm| {
                shapes::UnparsedPublicKey::new(algorithm, point).verify(message, given).is_ok()
            }),
            _ => None,
        };
        is_right.filter(|is_right| *is_right).map(drop).ok_or_else(signature::Error::new)
    }
}

fn mac(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    Some(match algorithm {
        Algorithm::HS256 => hmac::HMAC_SHA256,
        Algorithm::HS384 => hmac::HMAC_SHA384,
        Algorithm::HS512 => hmac::HMAC_SHA512,
        _ => return None,
    })
}

fn rsa(algorithm: Algorithm) -> Option<&'static shapes::RsaParameters> {
    Some(match algorithm {
        Algorithm::RS256 => &shapes::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &shapes::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &shapes::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &shapes::RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &shapes::RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &shapes::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

fn curve(algorithm: Algorithm) -> Option<&'static dyn shapes::VerificationAlgorithm> {
    Some(match algorithm {
        Algorithm::ES256 => &shapes::ECDSA_P256_SHA256_FIXED,
        Algorithm::ES384 => &shapes::ECDSA_P384_SHA384_FIXED,
        Algorithm::EdDSA => &shapes::ED25519,
        _ => return None,
    })
}
