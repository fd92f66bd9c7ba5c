//! A model server behind real TLS: nginx with certificates of a private authority.

use std::net::SocketAddr;
use std::path::Path;

use crate::gateway::Gateway;
use crate::gateway::Mock;
use crate::needs::need;
use crate::process::Folder;
use crate::process::bounded;
use crate::process::free_address;
use crate::process::run;
use crate::process::succeed;
use crate::process::text;
use crate::proxies::nginx_with;

/// A private authority and, for each name, a certificate of a server with that name.
pub(crate) fn certificates(openssl: &Path, folder: &Folder, names: &[(&str, &str)]) {
    let here = folder.as_str();
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    let request = || {
        let mut request = bounded(20, openssl);
        request.args(["req", "-x509"]).args(key);
        request
    };
    let ca = ["-addext", "basicConstraints=critical,CA:TRUE", "-subj", "/CN=a private authority"];
    let (ca_key, ca_file) = (format!("{here}/ca.key"), format!("{here}/ca.pem"));
    succeed(request().args(ca).args(["-keyout", &ca_key, "-out", &ca_file]));
    for (name, alternative) in names {
        let (key_file, signing, file) = (
            format!("{here}/{name}.key"),
            format!("{here}/{name}.csr"),
            format!("{here}/{name}.pem"),
        );
        let extensions = folder.write(
            &format!("{name}.ext"),
            &format!("subjectAltName={alternative}\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n"),
        );
        let mut ask = bounded(20, openssl);
        ask.arg("req").args(key.iter().take(5)).args(["-subj", "/CN=server"]);
        succeed(ask.args(["-keyout", &key_file, "-out", &signing]));
        let mut sign = bounded(20, openssl);
        sign.args(["x509", "-req", "-days", "2", "-in", &signing, "-CA", &ca_file]);
        sign.args(["-CAkey", &ca_key, "-CAcreateserial", "-out", &file, "-extfile"]);
        succeed(sign.arg(extensions));
    }
}

struct Endpoint {
    model: &'static str,
    certificate: &'static str,
    host: &'static str,
    protocols: &'static str,
    has_ca: bool,
    address: SocketAddr,
}

#[test]
fn a_private_authority_is_trusted_where_the_config_says_so_and_nowhere_else() {
    let (nginx, openssl) = (need!("nginx"), need!("openssl"));
    need!("curl");
    let folder = Folder::new();
    let names = [("here", "DNS:localhost,IP:127.0.0.1"), ("elsewhere", "DNS:elsewhere.example")];
    certificates(&openssl, &folder, &names);
    let mock = Mock::start(&folder);
    let endpoint = |model, certificate, host, protocols, has_ca| Endpoint {
        model,
        certificate,
        host,
        protocols,
        has_ca,
        address: free_address(),
    };
    let endpoints = [
        endpoint("demo", "here", "localhost", "TLSv1.2 TLSv1.3", true),
        endpoint("by-address", "here", "127.0.0.1", "TLSv1.3", true),
        endpoint("older", "here", "localhost", "TLSv1.2", true),
        endpoint("untrusted", "here", "localhost", "TLSv1.3", false),
        endpoint("misnamed", "elsewhere", "localhost", "TLSv1.3", true),
    ];
    let (mut blocks, mut config) = (String::new(), String::new());
    for Endpoint { model, certificate, host, protocols, has_ca, address } in &endpoints {
        let here = folder.as_str();
        blocks.push_str(&format!(
            "server {{ listen {address} ssl; ssl_protocols {protocols}; ssl_certificate {here}/{certificate}.pem;\n\
             ssl_certificate_key {here}/{certificate}.key; location / {{ proxy_pass http://{};\n\
             proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering off; }} }}\n",
            mock.address
        ));
        let ca = if *has_ca { "ca = \"ca.pem\"" } else { "" };
        let port = address.port();
        config.push_str(&format!(
            "[[upstream]]\nname = \"{model}\"\n{ca}\nendpoints = [{{ url = \"https://{host}:{port}\" }}]\n\
             [[model]]\nname = \"{model}\"\nupstream = \"{model}\"\n"
        ));
    }
    let _nginx = nginx_with(&nginx, &folder, &blocks, endpoints[0].address);
    let gateway = Gateway::start(&folder, &config);
    for model in ["demo", "by-address", "older"] {
        let said = ask(&gateway, model, false, &[]);
        assert!(said.contains("HTTP/1.1 200 ") && said.contains("Hello!"), "{model}: {said}");
        let said = ask(&gateway, model, true, &["-H", "x-mock-gap-ms: 1"]);
        assert!(said.ends_with("data: [DONE]\n\n"), "{model}: {said}");
        // Larger than any record: many are taken apart and put together.
        let said = ask(&gateway, model, false, &["-H", "x-mock-bytes: 2000000"]);
        assert!(said.len() >= 2_000_000, "{model}: {}", said.len());
    }
    let served = mock.count("requests");
    for model in ["untrusted", "misnamed"] {
        let said = ask(&gateway, model, false, &[]);
        assert!(said.contains("HTTP/1.1 502 ") && said.contains("TLS"), "{model}: {said}");
    }
    assert_eq!(mock.count("requests"), served, "nothing was sent to whom we do not trust");
    assert_eq!(gateway.metric("ringway_faults_total", "tls_failed"), 2.0);
    gateway.stop();
}

/// Asks with curl; head and body.
fn ask(gateway: &Gateway, model: &str, is_stream: bool, more: &[&str]) -> String {
    let body = format!(r#"{{"model":"{model}","stream":{is_stream},"messages":[]}}"#);
    let mut curl = bounded(20, "curl");
    curl.args(["-sSi", "-H", "content-type: application/json", "-d", &body]).args(more);
    text(&run(curl.arg(gateway.url("/v1/chat/completions"))).stdout)
}
