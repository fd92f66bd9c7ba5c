//! Two endpoints over TLS, of which the second is asked when the first does not begin to answer.

use super::*;
use crate::support::tls::Terminal;

/// The model `m` of an upstream with two endpoints.
fn two(urls: &[String; 2], lines: &str) -> String {
    let endpoints = format!("\"{}\" }}, {{ url = \"{}\"", urls[0], urls[1]);
    one("x", lines).replace("\"x\"", &endpoints)
}

/// The tickets of a session that was just opened are not the first byte of an answer.
#[test]
fn a_hedge_is_not_won_by_tickets() {
    let authority = Authority::new();
    let roots = Roots::of(&authority);
    let (first, second) = (Upstream::start(), Upstream::start());
    let fronts = [&first, &second]
        .map(|plain| Front::start(&authority, "localhost", plain.address, Ending::Announced));
    let urls = fronts.each_ref().map(|front| format!("https://localhost:{}", front.address.port()));
    let config = two(&urls, &format!("ca = \"{}\"", roots.path().display()));
    let hedge = "hedge = { after_ms = 30, budget_percent = 100 }\nretry = false\n";
    let gateway = Setup::new(format!("{config}{hedge}")).start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (mut one, _) = first.request();
    let (mut two, _) = second.request();
    // By now the tickets have come.
    std::thread::sleep(std::time::Duration::from_millis(50));
    one.send(ok("{\"from\":1}"));
    assert_eq!(client.message().text(), "{\"from\":1}");
    two.until_gone();
    gateway.await_metric("ringway_hedges_total", &[("result", "lost")], 1);
}

#[test]
fn a_client_that_leaves_while_a_second_connection_is_opened() {
    let (first, authority) = (Upstream::start(), Authority::new());
    let second = Terminal::start(&authority);
    let roots = Roots::of(&authority);
    let lines =
        format!("ca = \"{}\"\ndeadlines = {{ connect_ms = 60000 }}", roots.path().display());
    let hedge = "hedge = { after_ms = 30, budget_percent = 100 }\n";
    let urls = [first.url(), format!("https://localhost:{}", second.address.port())];
    let config = format!("{}{hedge}", two(&urls, &lines));
    let gateway = Setup::new(config).start();
    let mut client = gateway.client();
    client.send(chat("m", ""));
    let (mut server, _) = first.request();
    let _silent = second.connection();
    drop(client);
    gateway.await_fault("client_gone");
    server.until_gone();
}
