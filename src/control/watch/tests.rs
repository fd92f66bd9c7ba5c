//! The watch on real files, with the addresses of this machine only.

use super::*;
use crate::admission::key::KeyDigest;
use crate::control::fetch::tests::answer;
use crate::control::fetch::tests::serve;
use std::fs;
use std::path::PathBuf;

const GOOD: &str = "[[upstream]]\nname = \"u\"\nendpoints = [{ url = \"http://localhost:1\" }]\n\
                    [[model]]\nname = \"m\"\nupstream = \"u\"\n";

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ringway-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn on_runtime<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

async fn start(path: PathBuf) -> (Watch, Arc<Mutex<Vec<u64>>>) {
    let published = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&published);
    let publish = move |snapshot: Arc<Snapshot>, _| list.lock().unwrap().push(snapshot.number);
    (
        Watch::start(Source::File(path), Vec::new(), Ledger::default(), publish).await.unwrap(),
        published,
    )
}

async fn turn_until(watch: &mut Watch, is_done: impl Fn(&State) -> bool) {
    for _ in 0..20 {
        if is_done(&watch.remote().state()) {
            return;
        }
        watch.turn().await;
    }
    panic!("nothing happened: {:?}", watch.remote().state());
}

#[test]
fn a_written_file_is_taken_up_and_a_wrong_one_changes_nothing() {
    on_runtime(async {
        let folder = Folder::new("written");
        let path = folder.write("a.toml", GOOD);
        let (mut watch, published) = start(path).await;
        let addresses = watch.snapshot().endpoints[0].addresses.clone();
        assert_eq!(addresses, ["127.0.0.1:1".parse().unwrap(), "[::1]:1".parse().unwrap()]);

        folder.write("a.toml", &GOOD.replace("\"m\"", "\"other\""));
        turn_until(&mut watch, |state| state.snapshot.number == 2).await;
        let state = watch.remote().state();
        let changes = &state.history.back().unwrap().changes;
        assert_eq!(changes, &["model \"m\" removed", "model \"other\" added"]);

        folder.write("a.toml", "[listn]\n");
        turn_until(&mut watch, |state| !state.is_last_reload_successful).await;
        let state = watch.remote().state();
        assert_eq!((state.snapshot.number, state.reload_failures), (2, 1));
        assert!(state.last_errors[0].contains("did you mean \"listen\"?"), "{state:?}");
        watch.turn().await;
        watch.turn().await;
        assert_eq!(watch.remote().state().reload_failures, 1, "read again only when it changes");

        folder.write("a.toml", GOOD);
        turn_until(&mut watch, |state| state.is_last_reload_successful).await;
        let state = watch.remote().state();
        assert!(state.last_errors.is_empty());
        assert_eq!(*published.lock().unwrap(), [1, 2, 3]);
        assert_eq!(state.snapshot.models[0].lane.0, 0, "a model that came back has its old lane");
    });
}

#[test]
fn a_key_file_is_watched_too_and_its_key_is_never_shown() {
    on_runtime(async {
        let folder = Folder::new("key");
        folder.write("key", " first \n");
        let with_key = GOOD.replace("endpoints", "api_key = { file = \"key\" }\nendpoints");
        let (mut watch, _) = start(folder.write("a.toml", &with_key)).await;
        let field = |watch: &Watch| {
            let snapshot = watch.snapshot();
            snapshot.upstreams[0].credential.as_ref().unwrap().expose().to_vec()
        };
        assert_eq!(field(&watch), b"authorization: Bearer first\r\n");
        folder.write("key", "second-key");
        turn_until(&mut watch, |state| state.snapshot.number == 2).await;
        assert_eq!(field(&watch), b"authorization: Bearer second-key\r\n");
        let state = watch.remote().state();
        assert_eq!(state.history[1].changes, ["upstream \"u\": the key's value has changed"]);
        assert!(!format!("{state:?}").contains("second-key"));
    });
}

#[test]
fn key_files_and_lists_of_addresses_are_watched() {
    on_runtime(async {
        let folder = Folder::new("lists");
        fs::create_dir_all(folder.0.join("keys")).unwrap();
        let key = |id: &str| {
            let digest = KeyDigest::of(id.as_bytes()).to_hex();
            format!("{{\"sha256\":\"{digest}\",\"tenant\":\"acme\",\"id\":\"{id}\"}}\n")
        };
        folder.write("keys/a.jsonl", &key("one"));
        folder.write("allow.txt", "10.0.0.0/8\n");
        let listen = "[listen]\naddresses = { allow_file = \"allow.txt\" }\n";
        let text = format!("{listen}{GOOD}[keys]\npath = \"keys\"\n[[tenant]]\nname = \"acme\"\n");
        let (mut watch, _) = start(folder.write("a.toml", &text)).await;
        let found = |watch: &Watch, id: &str| watch.snapshot().keys.find(id.as_bytes()).is_some();
        assert!(found(&watch, "one") && !found(&watch, "two"));

        folder.write("keys/b.jsonl", &key("two"));
        turn_until(&mut watch, |state| state.snapshot.number == 2).await;
        assert!(found(&watch, "one") && found(&watch, "two"), "a file that was not there before");
        fs::remove_file(folder.0.join("keys/a.jsonl")).unwrap();
        turn_until(&mut watch, |state| state.snapshot.number == 3).await;
        assert!(!found(&watch, "one"), "a key is revoked by taking it out");

        folder.write("keys/b.jsonl", &format!("{}{{\"sha256\":\"rw_secret\"}}\n", key("two")));
        turn_until(&mut watch, |state| state.reload_failures == 1).await;
        assert!(found(&watch, "two"), "a wrong file changes nothing");
        assert!(!format!("{:?}", watch.remote().state().last_errors).contains("rw_secret"));

        folder.write("keys/b.jsonl", &key("two"));
        let keys = Arc::clone(&watch.snapshot().keys);
        folder.write("allow.txt", "10.0.0.0/8\n192.168.0.0/16\n");
        turn_until(&mut watch, |state| state.is_last_reload_successful).await;
        let snapshot = watch.snapshot();
        let allowed = snapshot.admission.listen.addresses.as_ref().unwrap();
        assert!(allowed.verdict("192.168.1.1".parse().unwrap()).is_allowed());
        assert!(Arc::ptr_eq(&keys, &snapshot.keys), "what has not changed is not built again");
    });
}

#[test]
fn keys_of_issuers_are_fetched_and_rotate() {
    on_runtime(async {
        let set = |kids: &[&str]| {
            let key = |kid: &&str| {
                format!(
                    "{{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"{kid}\",\
                     \"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\",\
                     \"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\"}}"
                )
            };
            let keys: Vec<String> = kids.iter().map(key).collect();
            answer("200 OK", "", &format!("{{\"keys\":[{}]}}", keys.join(",")))
        };
        let serving = serve(vec![answer("503 Busy", "", ""), set(&["a"]), set(&["a", "b"])]);
        let folder = Folder::new("jwks");
        let jwt = format!("[[jwt]]\nissuer = \"i\"\njwks = {{ url = \"{}\" }}\n", serving.url);
        let (mut watch, published) = start(folder.write("a.toml", &format!("{GOOD}{jwt}"))).await;
        let keys = |watch: &Watch| watch.snapshot().admission.issuers[0].keys.len();
        assert_eq!((keys(&watch), watch.remote().state().key_sets[0].failures), (0, 1));
        turn_until(&mut watch, |state| state.snapshot.number == 2).await;
        assert_eq!((keys(&watch), watch.remote().state().key_sets[0].keys), (1, 1));
        // As if the time had come.
        watch.key_sets.expire(Instant::now());
        turn_until(&mut watch, |state| state.snapshot.number == 3).await;
        assert_eq!(keys(&watch), 2);
        let state = watch.remote().state();
        assert_eq!(state.history.back().unwrap().why, Why::KeysFetched);
        assert_eq!(*published.lock().unwrap(), [1, 2, 3]);
    });
}

#[test]
fn a_reload_can_be_asked_for_and_a_dropped_turn_loses_nothing() {
    on_runtime(async {
        let folder = Folder::new("asked");
        let (mut watch, _) = start(folder.write("a.toml", GOOD)).await;
        let remote = watch.remote();
        let asking = tokio::spawn(async move { remote.reload().await });
        tokio::task::yield_now().await;
        for _ in 0..3 {
            // Polled once and dropped.
            tokio::select! { biased; () = watch.turn() => {}, () = std::future::ready(()) => {} }
        }
        turn_until(&mut watch, |state| state.snapshot.number == 2).await;
        assert_eq!(asking.await.unwrap(), Ok(2));

        folder.write("a.toml", "x");
        let remote = watch.remote();
        let asking = tokio::spawn(async move { remote.reload().await });
        turn_until(&mut watch, |state| state.reload_failures == 1).await;
        assert!(asking.await.unwrap().is_err());
    });
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let folder = Folder::new("wrong");
    let text = "[[upstream]]\nname = \"u\"\nca = \"no.pem\"\napi_key = { file = \"none\" }\nendpoints = [{ url = \"x\" }]\n\
                [[model]]\nname = \"m\"\nupstream = \"u\"\n[[model]]\nname = \"m\"\nupstream = \"u\"\n";
    let source = Source::File(folder.write("a.toml", text));
    let errors = source.load().unwrap_err();
    let lines: Vec<u32> = errors.iter().map(|error| error.place.line).collect();
    assert_eq!(lines, [3, 4, 5, 9], "{errors:#?}");
}
