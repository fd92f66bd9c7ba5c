//! Which endpoint is chosen: by load, by what requests have in common, by how quickly it answers.

use super::*;

/// The server that the next request has gone to, and its connection.
pub(super) fn taken(servers: &[Upstream]) -> (usize, Connection) {
    let mut found = None;
    await_true("somebody is asked", || {
        found = servers.iter().enumerate().find_map(|(index, server)| {
            let (connection, _) = server.try_request()?;
            Some((index, connection))
        });
        found.is_some().then_some(()).ok_or_else(String::new)
    });
    found.expect("it was awaited")
}

#[test]
fn long_streams_count_until_their_last_byte() {
    for balance in ["least_connections", "weighted_least_connections"] {
        let servers: Vec<Upstream> = (0..3).map(|_| Upstream::start()).collect();
        let urls: Vec<String> = servers.iter().map(Upstream::url).collect();
        let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        let lines = format!("balance = \"{balance}\"\npool = {{ idle_max = 0 }}");
        let gateway = Setup::new(upstream_of(&urls, &lines, "")).start();
        let mut open = Vec::new();
        let begin = || {
            let mut client = gateway.client();
            client.send(chat("m", ",\"stream\":true"));
            let (index, mut server) = taken(&servers);
            server.send(EVENTS);
            server.send(chunk("data: 1\n\n"));
            assert_eq!(client.head().status(), 200);
            client.await_content("data: 1\n\n");
            (index, client, server)
        };
        for _ in 0..9 {
            open.push(begin());
        }
        for index in 0..3 {
            let count = open.iter().filter(|(taken, ..)| *taken == index).count();
            assert_eq!(count, 3, "{balance}");
        }
        // Two of one endpoint's end: it gets the next two.
        for _ in 0..2 {
            let place = open.iter().position(|(taken, ..)| *taken == 1).expect("it has three");
            let (_, mut client, mut server) = open.remove(place);
            server.send("0\r\n\r\n");
            assert_eq!(client.chunk(), None);
        }
        gateway.await_metric("ringway_requests_open", &[], 7);
        for _ in 0..2 {
            let next = begin();
            assert_eq!(next.0, 1, "{balance}");
            open.push(next);
        }
    }
}

#[test]
fn what_belongs_together_goes_to_the_same_endpoint() {
    let servers: Vec<Answering> = (0..4).map(|_| Answering::saying("{}")).collect();
    let urls: Vec<String> = servers.iter().map(Answering::url).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let lines = "balance = \"hash\"\nhash = { by = \"prompt\", prefix_bytes = 64 }";
    let gateway = Setup::new(upstream_of(&urls, lines, "")).start();
    let prompt = |number: usize, rest: &str| {
        let start = format!("conversation {number} {}", "x".repeat(64));
        let message = format!("{{\"role\":\"user\",\"content\":\"{start}{rest}\"}}");
        post("/v1/chat/completions", &format!("{{\"model\":\"m\",\"messages\":[{message}]}}"))
    };
    let mut client = gateway.client();
    for number in 0..40 {
        let counts = |servers: &[Answering]| -> Vec<usize> {
            servers.iter().map(|server| server.asked().len()).collect()
        };
        let before = counts(&servers);
        for rest in ["", " and", " and more", " and more of it"] {
            client.send(prompt(number, rest));
            assert_eq!(client.message().status(), 200);
        }
        let after = counts(&servers);
        let grown = before.iter().zip(&after).filter(|(before, after)| before != after).count();
        assert_eq!(grown, 1, "conversation {number} went to several: {before:?} {after:?}");
    }
    for server in &servers {
        assert!(server.asked().len() >= 8, "{}", server.asked().len());
    }
}
