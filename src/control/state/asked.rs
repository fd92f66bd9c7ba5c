//! What the admin pages ask of the state beside what shards have made of it.

use crate::control::register::clerk::RegisteredNumbers;
use crate::control::state::State;
use crate::control::watch;
use crate::snapshot::AdminToken;

impl State {
    /// Where the gateway makes itself known.
    pub(crate) fn registered(&self) -> Vec<RegisteredNumbers> {
        self.registrations.numbers()
    }

    /// Asks whoever reads the config; none before the first snapshot is given out.
    pub(crate) fn remote(&self) -> Option<watch::Remote> {
        self.reloads.clone()
    }

    /// What operators have to show.
    pub(crate) fn admin_token(&self) -> Option<AdminToken> {
        self.current.as_ref()?.snapshot.admin_token.clone()
    }

    /// What came of reading the config.
    pub(crate) fn reloads(&self) -> Option<watch::State> {
        let mut reloads = self.reloads.as_ref()?.state();
        if self.is_unwatched {
            reloads.is_last_reload_successful = false;
            reloads.last_errors.push("the config is not watched any more".to_owned());
        }
        reloads.troubles.extend(self.registrations.troubles());
        Some(reloads)
    }
}
