//! How one shard speaks TLS: as the snapshot says, with sessions of its own to go on with. The snapshot's configurations
//! are shared by all threads, and so would be their session caches, behind a lock.

use std::sync::Arc;
use std::sync::Weak;

use rustls::ClientConfig;
use rustls::client::Resumption;

/// Servers of one configuration whose sessions are remembered.
const SERVERS_MAX: usize = 256;

/// A shard's own copy of each configuration that it uses. There are as many as upstreams are trusted in different ways.
#[derive(Debug, Default)]
pub struct Sessions(Vec<Own>);

#[derive(Debug)]
struct Own {
    /// Whose copy it is; what is named here is kept from being another one's address.
    of: Weak<ClientConfig>,
    config: Arc<ClientConfig>,
}

impl Sessions {
    /// This shard's own copy of `config`.
    pub fn own(&mut self, config: &Arc<ClientConfig>) -> Arc<ClientConfig> {
        let is_of = |own: &&Own| std::ptr::eq(own.of.as_ptr(), Arc::as_ptr(config));
        if let Some(own) = self.0.iter().find(is_of) {
            return Arc::clone(&own.config);
        }
        let mut own = ClientConfig::clone(config);
        own.resumption = Resumption::in_memory_sessions(SERVERS_MAX);
        let own = Arc::new(own);
        self.0.push(Own { of: Arc::downgrade(config), config: Arc::clone(&own) });
        own
    }

    /// Forgets the copies of what no snapshot has any more.
    pub fn sweep(&mut self) {
        self.0.retain(|own| own.of.strong_count() > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let roots = rustls::RootCertStore::empty();
        Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
    }

    #[test]
    fn each_shard_has_one_copy_of_each_configuration() {
        let (mut one, mut another) = (Sessions::default(), Sessions::default());
        let (a, b) = (config(), config());
        let own = one.own(&a);
        assert!(Arc::ptr_eq(&own, &one.own(&a)), "it goes on with its sessions");
        assert!(!Arc::ptr_eq(&own, &a) && !Arc::ptr_eq(&own, &another.own(&a)));
        assert!(!Arc::ptr_eq(&own, &one.own(&b)), "others are trusted there");
    }

    #[test]
    fn what_is_not_used_any_more_is_forgotten() {
        let mut sessions = Sessions::default();
        let (a, b) = (config(), config());
        let (own, gone) = (sessions.own(&a), Arc::downgrade(&sessions.own(&b)));
        drop(b);
        sessions.sweep();
        assert!(gone.upgrade().is_none());
        assert!(Arc::ptr_eq(&own, &sessions.own(&a)));
        assert_eq!(sessions.0.len(), 1);
    }
}
