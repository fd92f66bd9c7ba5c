//! What a config becomes (`.snap`), or what must be said of it (`.err`).
//!
//! A line `# explain: METHOD PATH [MODEL] [header=NAME:VALUE].. [address=IP] [tenant=NAME]` of a file asks what would
//! happen to that request. A file `x.after.toml`
//! is what `x.toml` is replaced with: what that changes is part of the `.snap` of `x`. `UPDATE=1` writes
//! the expectations anew.

use ringway::admission;
use ringway::admission::limit::Limit;
use ringway::config;
use ringway::snapshot;
use ringway::snapshot::Ledger;
use ringway::snapshot::Secret;
use ringway::snapshot::Snapshot;
use ringway::snapshot::World;
use ringway::units::KeyId;
use ringway::units::TenantId;
use ringway::units::UpstreamId;
use rustls::RootCertStore;
use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/files/config")
}

#[test]
fn every_file_becomes_or_says_what_it_should() {
    let mut names: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".toml").map(str::to_owned))
        .filter(|name| !name.ends_with(".after"))
        .collect();
    names.sort();
    assert!(names.len() > 10, "the folder of files is not there");
    let mut wrong = Vec::new();
    for name in &names {
        let mut ledger = Ledger::default();
        let (ending, text) = match read(name, &mut ledger, 1) {
            Ok((world, snapshot)) => ("snap", show(name, &world, &snapshot, &mut ledger)),
            Err(errors) => ("err", lines(&errors)),
        };
        compare(name, ending, &text, &mut wrong);
    }
    assert!(wrong.is_empty(), "UPDATE=1 writes these anew:\n{}", wrong.join("\n"));
}

fn read(
    name: &str,
    ledger: &mut Ledger,
    number: u64,
) -> Result<(World, Snapshot), Vec<config::Error>> {
    let file_name = format!("{name}.toml");
    let text = fs::read_to_string(folder().join(&file_name)).unwrap();
    let (file, mut errors) = config::read(&text, &file_name);
    errors.extend(snapshot::clashes(&file));
    errors.sort();
    if !errors.is_empty() {
        return Err(errors);
    }
    let world = world(&file, &text);
    let snapshot = snapshot::build(&file, &world, ledger, number)?;
    Ok((world, snapshot))
}

/// A world in which every variable, file and name that the config speaks of is there.
fn world(file: &config::File, text: &str) -> World {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let mut private = roots.clone();
    private.roots.truncate(1);
    let secret = |from: &config::SecretPlace| match from {
        config::SecretPlace::Env(name) if name == "EMPTY" => String::new(),
        config::SecretPlace::Env(name) if name == "BROKEN" => "a\r\nb: c".to_owned(),
        config::SecretPlace::Env(name) if name == "SHORT" => "short".to_owned(),
        from => format!("key-of-{}-that-is-long-enough", from.describe().replace(' ', "-")),
    };
    let hosts = file.upstreams.iter().flat_map(|u| &u.endpoints).map(|e| e.url.host.clone());
    let addresses = hosts.map(|host| (host, vec!["192.0.2.1".parse().unwrap()]));
    World {
        found: HashMap::default(),
        addresses: addresses.filter(|_| !text.contains("# no addresses")).collect(),
        secrets: Arc::new(
            file.secrets()
                .map(|source| (source.from.clone(), Secret::new(secret(&source.from).into_bytes())))
                .collect(),
        ),
        address_files: Arc::new(
            file.address_files().map(|list| (list.path.clone(), networks(list))).collect(),
        ),
        key_files: file.keys.iter().map(|keys| Arc::new(key_file(keys))).collect(),
        jwks: file
            .jwt
            .iter()
            .enumerate()
            .filter_map(|(index, jwt)| match &jwt.keys {
                Some(config::JwtKeys::File(keys)) => {
                    Some((index, fs::read(beside(&keys.path)).ok()?))
                }
                _ => None,
            })
            .collect(),
        steps: vec!["audit".to_owned()],
        system_roots: Some(roots),
        ca_roots: file
            .upstreams
            .iter()
            .filter_map(|u| Some((u.ca.as_ref()?.path.clone(), private.clone())))
            .collect(),
        now_unix_s: 1_700_000_000,
    }
}

/// What a config names lies beside it.
fn beside(path: &Path) -> PathBuf {
    folder().join(path)
}

fn networks(list: &config::FileSource) -> Vec<config::Cidr> {
    let text = fs::read_to_string(beside(&list.path)).unwrap();
    let (networks, errors) = config::read_networks(&text, &list.path.display().to_string());
    assert!(errors.is_empty(), "{}", lines(&errors));
    networks
}

fn key_file(keys: &config::FileSource) -> config::KeyFile {
    let text = fs::read_to_string(beside(&keys.path)).unwrap();
    let (keys, errors) = config::keys::read(&text, &keys.path.display().to_string());
    assert!(errors.is_empty(), "{}", lines(&errors));
    keys
}

fn show(name: &str, world: &World, snapshot: &Snapshot, ledger: &mut Ledger) -> String {
    let mut out = serde_json::to_string_pretty(&snapshot::outline(snapshot)).unwrap();
    out.push_str("\n\n-- endpoints\n");
    for endpoint in &snapshot.endpoints {
        let tls = endpoint.tls.as_ref().map(|tls| tls.server_name.to_str().into_owned());
        let (url, host, prefix) = (&endpoint.url, &endpoint.host, &endpoint.path_prefix);
        writeln!(out, "{url} host={host} prefix={prefix:?} tls={tls:?}").unwrap();
    }
    out.push_str("\n-- credentials\n");
    for upstream in &snapshot.upstreams {
        let field =
            upstream.credential.as_ref().map(|secret| String::from_utf8_lossy(secret.expose()));
        let shown = format!("{upstream:?}");
        assert!(!shown.contains("key-of-"), "a secret is in {shown}");
        writeln!(out, "{}: {field:?}", upstream.name).unwrap();
    }
    admitted(snapshot, &mut out);
    writeln!(out, "\n-- models\n{}", String::from_utf8_lossy(&snapshot.model_list)).unwrap();
    for model in &snapshot.models {
        let json = String::from_utf8_lossy(&model.upstream_model_json);
        writeln!(
            out,
            "{} -> {json} {}",
            model.label(),
            String::from_utf8_lossy(&model.description)
        )
        .unwrap();
    }
    let text = fs::read_to_string(folder().join(format!("{name}.toml"))).unwrap();
    let file = config::parse(&text, &format!("{name}.toml")).unwrap();
    let warnings = snapshot::warnings(&file, world);
    if !warnings.is_empty() {
        writeln!(out, "\n-- warnings\n{}", lines(&warnings).trim_end()).unwrap();
    }
    for line in text.lines().filter_map(|line| line.strip_prefix("# explain: ")) {
        write!(out, "\n-- {line}\n{}", explained(snapshot, line, world.now_unix_s)).unwrap();
    }
    if folder().join(format!("{name}.after.toml")).exists() {
        let after = read(&format!("{name}.after"), ledger, 2);
        let (_, after) = after.unwrap_or_else(|errors| panic!("{}", lines(&errors)));
        let changes = snapshot::diff(snapshot, &after);
        writeln!(out, "\n-- changes\n{}", changes.join("\n")).unwrap();
        for endpoint in &after.endpoints {
            writeln!(out, "slot {} {}", endpoint.slot.0, endpoint.url).unwrap();
        }
        for model in &after.models {
            writeln!(out, "lane {} {}", model.lane.0, model.label()).unwrap();
        }
    }
    out
}

fn explained(snapshot: &Snapshot, line: &str, now_unix_s: u64) -> String {
    let mut words = line.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let mut asked = snapshot::Asked {
        method,
        path,
        now_unix_ms: now_unix_s * 1000,
        ..snapshot::Asked::default()
    };
    let mut fields = Vec::new();
    for word in words {
        match word.split_once('=') {
            Some(("header", field)) => {
                let (name, value) = field.split_once(':').unwrap();
                fields.push((name.to_owned(), value.replace('+', " ")));
            }
            Some(("address", address)) => asked.address = Some(address.parse().unwrap()),
            Some(("tenant", name)) => asked.tenant = Some(name),
            _ => asked.model = Some(word),
        }
    }
    asked.fields = &fields;
    snapshot::explain(snapshot, asked).to_string()
}

/// Who may enter and how much, as it was built; nothing where nothing is said of it.
fn admitted(snapshot: &Snapshot, out: &mut String) {
    let shown = format!("{snapshot:?}");
    assert!(!shown.contains("key-of-"), "a secret is in {shown}");
    let table = &snapshot.admission;
    let level = |level: &admission::Level| format!("{:?}", level.chain.links());
    if table.tenants.is_empty() && table.issuers.is_empty() && table.listen.chain.links().is_empty()
    {
        return;
    }
    writeln!(out, "\n-- admission\nlisten {}", level(&table.listen)).unwrap();
    writeln!(out, "identity {:?}", table.identity).unwrap();
    for (index, tenant) in (0..).zip(&table.tenants) {
        let admission::TenantPolicy { name, models, when_full, .. } = tenant;
        writeln!(
            out,
            "tenant {name} {} models={models:?} when_full={when_full:?}",
            level(&tenant.level)
        )
        .unwrap();
        limits("tenant", &tenant.limits, out);
        for (model, list) in &tenant.model_limits {
            limits(&format!("with {}", snapshot.model(*model).label()), list, out);
        }
        for upstream in (0..).map(UpstreamId).take(snapshot.upstreams.len()) {
            if let Some(field) = snapshot.tenant_credentials(TenantId(index), upstream) {
                let field = String::from_utf8_lossy(field.expose());
                writeln!(out, "  {}: {field:?}", snapshot.upstream(upstream).name).unwrap();
            }
        }
    }
    for model in &table.models {
        let admission::ModelPolicy {
            name, when_full, degrade_to, output_tokens, parameters, ..
        } = model;
        let chain = level(&model.level);
        let parameters = parameters.is_some();
        writeln!(
            out,
            "model {name} {chain} when_full={when_full:?} degrade_to={degrade_to:?} \
             output_tokens={output_tokens} parameters={parameters}"
        )
        .unwrap();
        limits("model", &model.limits, out);
    }
    for key in (0..).map(KeyId).take(snapshot.keys.len()) {
        let key = snapshot.keys.get(key);
        let tenant = &table.tenants[key.tenant.index()].name;
        let (name, models, expires) = (key.name, key.models, key.expires_unix_s);
        writeln!(out, "key {tenant}/{name} models={models:?} expires={expires:?}").unwrap();
        limits("key", key.limits, out);
    }
    for issuer in &table.issuers {
        let name = issuer.issuer.as_deref().unwrap_or("anyone");
        let (audience, tenant) = (&issuer.audience, issuer.tenant);
        let mut tenants: Vec<_> = issuer.tenants.iter().collect();
        tenants.sort();
        writeln!(
            out,
            "issuer {name} audience={audience:?} algorithms={:?} keys={:?} leeway={} tenant={tenant:?} \
             tenants={tenants:?} {:?}",
            issuer.algorithms, issuer.keys, issuer.leeway_s, issuer.claims
        )
        .unwrap();
    }
    writeln!(out, "signers {:?} window {} s", table.signers, table.signers.window_s).unwrap();
}

fn limits(whose: &str, limits: &[Limit], out: &mut String) {
    for limit in limits {
        let (id, scope, rule) = (limit.id.0, limit.scope, limit.rule);
        writeln!(out, "  {whose} quota {id} {scope:?} {rule:?}").unwrap();
    }
}

fn lines(errors: &[config::Error]) -> String {
    errors.iter().fold(String::new(), |text, error| format!("{text}{error}\n"))
}

/// The other ending must not be there: a file that was wrong and is good now has lost its `.err`.
fn compare(name: &str, ending: &str, text: &str, wrong: &mut Vec<String>) {
    let path = folder().join(format!("{name}.{ending}"));
    let other = folder().join(format!("{name}.{}", if ending == "snap" { "err" } else { "snap" }));
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, text).unwrap();
        drop(fs::remove_file(other));
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    if expected != text || other.exists() {
        wrong.push(format!("{name}.{ending}: expected\n{expected}\nfound\n{text}"));
    }
}

#[test]
fn lists_of_networks_are_bounded() {
    let text = "[listen]\naddresses = { deny_file = \"far.txt\" }\n";
    // Without a model it is not served; what is asked here is the list alone.
    let (file, _) = config::read(text, "a.toml");
    let network = |number: usize| config::Cidr {
        address: std::net::Ipv4Addr::from(u32::try_from(number).unwrap()).into(),
        prefix: 32,
    };
    let build = |count: usize| {
        let networks = (0..count).map(network).collect();
        let world = World {
            address_files: Arc::new([("far.txt".into(), networks)].into()),
            ..World::default()
        };
        snapshot::build(&file, &world, &mut Ledger::default(), 1)
    };
    assert!(build(config::NETWORKS_MAX).is_ok());
    let errors = build(config::NETWORKS_MAX + 1).unwrap_err();
    assert!(
        errors[0]
            .to_string()
            .starts_with("a.toml:2: listen.addresses.deny_file: 1000001 networks are too many"),
        "{}",
        errors[0]
    );
}
