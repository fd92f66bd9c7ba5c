//! Exchanges with a real server on this machine.

use super::*;
use crate::control::fetch::tests::answer;
use crate::control::fetch::tests::on_runtime;
use crate::control::fetch::tests::serve;

fn access(urls: &[&str]) -> Access {
    let urls = urls.iter().map(|url| {
        let url = url.split_once("/jwks").map_or(*url, |(url, _)| url);
        Url::parse(url).unwrap()
    });
    Access { urls: urls.collect(), ..Access::default() }
}

fn get(path: &str) -> Ask<'_> {
    let timeout = Duration::from_secs(10);
    Ask { method: Method::GET, path, fields: &[("x-a", "b")], body: Vec::new(), timeout }
}

#[test]
fn an_answer_comes_whole_whatever_its_status() {
    let server = serve(vec![
        answer("200 OK", "x-consul-index: 7\r\n", "[]"),
        answer("403 Forbidden", "connection: close\r\n", "Permission\ndenied"),
    ]);
    let mut http = Http::new(&access(&[&server.url]));
    let (first, second) = on_runtime(async {
        let first = http.ask(get("/v1/x?a=b")).await.unwrap();
        // The server of this test answers once a connection.
        http.kept = None;
        (first, http.ask(get("/v1/y")).await.unwrap())
    });
    assert_eq!((first.status, &first.body[..]), (200, &b"[]"[..]));
    assert_eq!(first.fields.get("x-consul-index").unwrap(), "7");
    assert_eq!(second.explain(), "answered with 403: Permission denied");
    let heads = server.asked();
    assert!(heads[0].starts_with("GET /v1/x?a=b HTTP/1.1\r\n"), "{heads:?}");
    assert!(heads[0].contains("\r\nx-a: b\r\n"), "{heads:?}");
}

#[test]
fn the_next_url_has_its_turn_after_a_failure() {
    let server = serve(vec![answer("200 OK", "", "{}")]);
    // A port that was free a moment ago: nobody listens there.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut http = Http::new(&access(&[&format!("http://{nobody}"), &server.url]));
    on_runtime(async {
        let why = http.ask(get("/")).await.unwrap_err();
        assert!(why.starts_with(&format!("http://{nobody}: cannot connect")), "{why}");
        assert_eq!(http.ask(get("/")).await.unwrap().status, 200);
    });
}

#[test]
fn what_comes_bit_by_bit_ends_or_breaks_off() {
    let whole =
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n".to_vec();
    let broken = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n".to_vec();
    let server = serve(vec![whole, broken]);
    let mut http = Http::new(&access(&[&server.url]));
    on_runtime(async {
        let mut open = http.open(get("/watch")).await.unwrap();
        assert_eq!(open.next().await.unwrap().as_deref(), Some(&b"ab"[..]));
        assert_eq!(open.next().await.unwrap(), None);
        let mut open = http.open(get("/watch")).await.unwrap();
        assert_eq!(open.next().await.unwrap().as_deref(), Some(&b"ab"[..]));
        assert!(open.next().await.is_err());
    });
}

#[test]
fn who_does_not_answer_in_time_is_given_up() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let mut http = Http::new(&access(&[&url]));
    let ask = Ask { timeout: Duration::from_millis(20), ..get("/") };
    let why = on_runtime(http.ask(ask)).unwrap_err();
    assert_eq!(why, "no answer within 20ms");
}
