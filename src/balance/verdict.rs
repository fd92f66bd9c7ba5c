//! What an attempt says about its endpoint.

/// What an attempt says about its endpoint, and nothing else.
///
/// It is not what the client gets: an answer that says that the request is wrong says that the endpoint works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It does what it is asked.
    Good,
    /// It failed: it could not be reached, broke off, was late, or says itself that it failed.
    Bad,
    /// It has too much to do, or we have used up our share of it. A failure as well.
    Throttled,
    /// It refused the credential that the gateway is configured with: no other request will fare better.
    CredentialBad,
    /// Nothing is known: the attempt was cancelled, or it refused a credential that is not ours.
    Neutral,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: &'static [Self] =
        &[Self::Good, Self::Bad, Self::Throttled, Self::CredentialBad, Self::Neutral];

    /// Its name in metrics: snake case, never changed once published.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Throttled => "throttled",
            Self::CredentialBad => "credential_bad",
            Self::Neutral => "neutral",
        }
    }

    /// Whether it counts towards an opening of the breaker by failures in a row or by their share.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Bad | Self::Throttled)
    }
}

/// What a status says; `is_credential_ours`: the request went up with a credential of the gateway's own config, not with
/// the client's or its tenant's.
#[must_use]
pub const fn of_status(status: u16, is_credential_ours: bool) -> Verdict {
    match status {
        401 | 403 if is_credential_ours => Verdict::CredentialBad,
        401 | 403 => Verdict::Neutral,
        429 => Verdict::Throttled,
        // What it does not implement, it has understood.
        501 | 505 => Verdict::Good,
        408 | 500.. => Verdict::Bad,
        _ => Verdict::Good,
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict;
    use super::of_status;

    #[test]
    fn statuses_say_whose_matter_it_is() {
        for (status, verdict) in [
            (200, Verdict::Good),
            (204, Verdict::Good),
            (302, Verdict::Good),
            (400, Verdict::Good),
            (402, Verdict::Good),
            (404, Verdict::Good),
            (407, Verdict::Good),
            (408, Verdict::Bad),
            (409, Verdict::Good),
            (413, Verdict::Good),
            (422, Verdict::Good),
            (429, Verdict::Throttled),
            (499, Verdict::Good),
            (500, Verdict::Bad),
            (501, Verdict::Good),
            (502, Verdict::Bad),
            (503, Verdict::Bad),
            (504, Verdict::Bad),
            (505, Verdict::Good),
            (529, Verdict::Bad),
            (599, Verdict::Bad),
        ] {
            assert_eq!(of_status(status, true), verdict, "{status}");
            assert_eq!(of_status(status, false), verdict, "{status}");
        }
        for status in [401, 403] {
            assert_eq!(of_status(status, true), Verdict::CredentialBad);
            assert_eq!(of_status(status, false), Verdict::Neutral);
        }
    }

    #[test]
    fn failures_are_what_the_endpoint_can_be_blamed_for() {
        let failures: Vec<&str> = Verdict::ALL
            .iter()
            .filter(|verdict| verdict.is_failure())
            .map(|verdict| verdict.label())
            .collect();
        assert_eq!(failures, ["bad", "throttled"]);
    }
}
