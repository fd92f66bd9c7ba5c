//! Memory that is held for clients is known, and none is left over however a request ends.

use crate::support::*;

fn await_held(gateway: &Gateway, least: u64) {
    await_true(&format!("{least} bytes are held"), || {
        let held = gateway.metric("ringway_held_bytes", &[]);
        if held >= least { Ok(()) } else { Err(format!("it is {held}")) }
    });
}

fn await_nothing(gateway: &Gateway) {
    gateway.await_metric("ringway_connections_open", &[], 0);
    gateway.await_metric("ringway_requests_open", &[], 0);
    gateway.await_metric("ringway_held_bytes", &[], 0);
}

#[test]
fn when_a_response_ends_in_the_middle() {
    let upstream = Upstream::start();
    let gateway = Setup::once(&upstream.url(), "").start();
    // In the middle of its head, and in the middle of an event: both wait for the rest.
    for begun in ["HTTP/1.1 200 OK\r\ncontent-ty", "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"]
    {
        for is_client_first in [true, false] {
            let mut client = gateway.client();
            client.send(chat("m", &format!(",\"user\":\"{}\"", "x".repeat(30_000))));
            let (mut server, _) = upstream.request();
            await_held(&gateway, 30_000);
            server.send(begun);
            if is_client_first {
                client.reset();
                server.until_gone();
            } else {
                server.reset();
                assert!(client.has_more());
                drop(client);
            }
            await_nothing(&gateway);
        }
    }
}

#[test]
fn when_a_client_leaves_in_the_middle_of_its_body() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let length = "content-length: 200000";
    for (framing, begun) in [(length, ""), ("transfer-encoding: chunked", "30d40\r\n")] {
        for is_reset in [true, false] {
            let mut client = gateway.client();
            client.send(format!(
                "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n{framing}\r\n\r\n{begun}{}",
                "x".repeat(100_000)
            ));
            await_held(&gateway, 100_000);
            if is_reset {
                client.reset();
            } else {
                drop(client);
            }
            await_nothing(&gateway);
        }
    }
    assert!(upstream.is_untouched());
}

#[test]
fn when_a_client_reads_nothing_and_leaves() {
    let upstream = Upstream::start();
    let gateway = Setup::one(&upstream.url(), "").start();
    let mut client = gateway.client();
    client.narrow();
    client.send(chat("m", ""));
    let (mut server, _) = upstream.request();
    let writer = std::thread::spawn(move || {
        server.send("HTTP/1.1 200 OK\r\ncontent-length: 33554432\r\n\r\n");
        server.send_what_is_taken(vec![b'x'; 32 << 20]);
    });
    await_held(&gateway, 1);
    client.reset();
    writer.join().expect("a server");
    await_nothing(&gateway);
}
