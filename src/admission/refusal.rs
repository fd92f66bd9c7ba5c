//! Why a request may not enter: what is counted, and what its sender reads.

/// Declares the refusals, each with its label, its status, its code and its text.
macro_rules! refusals {
    (
        $(#[$outer:meta])*
        pub enum $name:ident {
            $( $(#[$inner:meta])* $variant:ident => $label:literal $status:literal $code:literal $text:expr; )*
        }
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

            /// The status of the answer, before a dialect has its say.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $( Self::$variant => $status, )* }
            }

            /// The `code` of the answer's error.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $( Self::$variant => $code, )* }
            }

            /// What the client reads: what is wrong and what to do; never whether a key, a tenant or a model exists.
            #[must_use]
            pub const fn explain(self) -> &'static str {
                match self { $( Self::$variant => $text, )* }
            }
        }
    };
}

/// One text for wrong, revoked and expired keys: whoever guesses learns nothing.
const KEY_TEXT: &str = "This API key is not valid here: it is wrong, was revoked, or has expired.";

refusals! {
    /// Why a request may not enter.
    pub enum Refusal {
        /// The client's address is on a list of those denied, or not on one of those allowed.
        AddressDenied => "address_denied" 403 "ip_not_allowed"
            "Requests from this address are not allowed.";
        /// No credential of the kinds asked for.
        CredentialMissing => "credential_missing" 401 "invalid_api_key"
            "A credential is missing: send `Authorization: Bearer ...` or `x-api-key: ...`, and a signature where one is required.";
        /// A credential that cannot be one: empty, too long, or with bytes in it that none has.
        CredentialMalformed => "credential_malformed" 401 "invalid_api_key"
            "The credential cannot be read: it is empty, too long, or has characters in it that no key has.";
        /// Several credentials where one is meant.
        CredentialsMany => "credentials_many" 400 "credentials_many"
            "The request carries several credentials that differ or stand in the same field twice: send exactly one.";
        /// What has passed is not enough for this model.
        CredentialInsufficient => "credential_insufficient" 403 "credential_required"
            "This model asks for a kind of credential that the request was not let in with.";
        /// No such key.
        KeyUnknown => "key_unknown" 401 "invalid_api_key" KEY_TEXT;
        /// The key's time is over.
        KeyExpired => "key_expired" 401 "invalid_api_key" KEY_TEXT;
        /// Not a token, or one that is cut.
        TokenMalformed => "token_malformed" 401 "invalid_token"
            "The token cannot be read: it is not a signed JSON Web Token.";
        /// An algorithm that its issuer does not use, `none` among them.
        TokenAlgorithm => "token_algorithm" 401 "invalid_token"
            "The token is signed with an algorithm that is not accepted here.";
        /// No key of that name, or none that fits.
        TokenKeyUnknown => "token_key_unknown" 401 "invalid_token"
            "The token is signed with a key that is not known here.";
        /// The signature does not match.
        TokenSignature => "token_signature" 401 "invalid_token" "The token's signature is wrong.";
        /// Another issuer.
        TokenIssuer => "token_issuer" 401 "invalid_token" "The token's issuer is not accepted here.";
        /// For somebody else.
        TokenAudience => "token_audience" 401 "invalid_token" "The token is meant for another audience.";
        /// Its time is over.
        TokenExpired => "token_expired" 401 "invalid_token" "The token has expired.";
        /// Its time has not come.
        TokenEarly => "token_early" 401 "invalid_token" "The token is not valid yet.";
        /// A claim that is needed is missing or of another type.
        TokenClaims => "token_claims" 401 "invalid_token"
            "The token lacks a claim that is needed here, or has it in another form.";
        /// The credential names a tenant that there is not.
        TenantUnknown => "tenant_unknown" 403 "tenant_unknown"
            "The credential belongs to no tenant of this gateway.";
        /// Credentials of different tenants.
        TenantMismatch => "tenant_mismatch" 403 "tenant_mismatch"
            "The request's credentials belong to different tenants.";
        /// Not a signature, or one that is cut.
        SignatureMalformed => "signature_malformed" 401 "invalid_signature"
            "The request's signature cannot be read.";
        /// Several signatures, or in both vocabularies.
        SignaturesMany => "signatures_many" 400 "invalid_signature"
            "The request carries several signatures: send exactly one.";
        /// Another algorithm than HMAC-SHA256.
        SignatureAlgorithm => "signature_algorithm" 401 "invalid_signature"
            "The signature's algorithm is not accepted here: use HMAC-SHA256.";
        /// No signer of that name.
        SignatureKeyUnknown => "signature_key_unknown" 401 "invalid_signature"
            "The request's signature is not valid here.";
        /// It does not match.
        SignatureWrong => "signature_wrong" 401 "invalid_signature"
            "The request's signature is not valid here.";
        /// It does not cover what it must.
        SignatureIncomplete => "signature_incomplete" 401 "invalid_signature"
            "The signature must cover the method, the target, its time of creation and, where there is a body, its digest.";
        /// Created outside of the window, or its `expires` is over.
        SignatureExpired => "signature_expired" 401 "invalid_signature"
            "The signature's time is too far from this gateway's, or it has expired: sign anew, and check the clock.";
        /// Its nonce was seen before.
        SignatureReplayed => "signature_replayed" 401 "invalid_signature"
            "This signature was used before: sign each request anew, with a nonce of its own.";
        /// Too many nonces to remember.
        NoncesFull => "nonces_full" 503 "overloaded"
            "Too many signed requests at once. Try again shortly.";
        /// A digest that cannot be read, or of no algorithm we know.
        DigestMalformed => "digest_malformed" 401 "invalid_signature"
            "The digest of the body cannot be read: send sha-256 or sha-512.";
        /// The body is not the one that was signed.
        DigestWrong => "digest_wrong" 401 "invalid_signature"
            "The body is not the one that its digest was made of.";
        /// The model is not on a list that must name it.
        ModelDenied => "model_denied" 403 "model_not_allowed"
            "This credential may not use the model that was asked for.";
        /// Too many requests in their time.
        RequestsLimited => "requests_limited" 429 "rate_limit_exceeded"
            "The limit of requests is reached. Try again when the time in Retry-After has passed.";
        /// Too many tokens in their time.
        TokensLimited => "tokens_limited" 429 "rate_limit_exceeded"
            "The limit of tokens is reached. Try again when the time in Retry-After has passed.";
        /// More tokens in one request than the limit ever has.
        TokensNever => "tokens_never" 429 "request_exceeds_limit"
            "This request asks for more tokens than its limit ever allows at once: send less, or ask for a shorter answer.";
        /// Too many at the same time.
        ConcurrencyLimited => "concurrency_limited" 429 "rate_limit_exceeded"
            "Too many requests at the same time. Try again when one of them has ended.";
        /// Too many subjects of tokens to count for each.
        SubjectsFull => "subjects_full" 503 "overloaded"
            "Too many users at once. Try again shortly.";
        /// No place left to wait for a limit.
        QueueFull => "queue_full" 429 "rate_limit_exceeded"
            "The limit is reached and too many requests wait for it already. Try again later.";
        /// Waited for a limit as long as may be.
        QueueTimedOut => "queue_timed_out" 429 "rate_limit_exceeded"
            "The limit was reached, and the request has waited for it as long as it may. Try again later.";
        /// A parameter of another type than its bounds ask for.
        ParameterWrong => "parameter_wrong" 400 "invalid_parameter"
            "A parameter of the request has a value of the wrong type.";
        /// A step of the embedder's has refused; its answer says more.
        StepRefused => "step_refused" 403 "request_refused" "The request was refused.";
        /// A step of the embedder's has failed.
        StepFailed => "step_failed" 500 "internal_error"
            "The request could not be checked. It was not sent on.";
    }
}

impl Refusal {
    /// What the answer's `www-authenticate` says: there is one on each 401 (RFC 9110, section 11.6.1).
    #[must_use]
    pub const fn www_authenticate(self) -> Option<&'static str> {
        if self.status() != 401 {
            return None;
        }
        Some(match self {
            Self::CredentialMissing => "Bearer realm=\"ringway\"",
            Self::SignatureMalformed
            | Self::SignatureAlgorithm
            | Self::SignatureKeyUnknown
            | Self::SignatureWrong
            | Self::SignatureIncomplete
            | Self::SignatureExpired
            | Self::SignatureReplayed
            | Self::DigestMalformed
            | Self::DigestWrong => "Signature realm=\"ringway\"",
            _ => "Bearer realm=\"ringway\", error=\"invalid_token\"",
        })
    }
}
