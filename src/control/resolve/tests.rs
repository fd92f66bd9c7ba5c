//! The resolver against a name server of three lines that says what it is told to.

use super::*;
use std::sync::Arc;
use std::sync::Mutex;
use tokio::net::UdpSocket;

/// What the name server says: addresses and their time to live in seconds; nothing: there is no such name.
type Says = Arc<Mutex<Option<(Vec<Ipv4Addr>, u32)>>>;

async fn name_server(says: Says) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut question = [0; 512];
        loop {
            let (length, asker) = socket.recv_from(&mut question).await.unwrap();
            let answer = answer(&question[..length], &says);
            socket.send_to(&answer, asker).await.unwrap();
        }
    });
    port
}

/// RFC 1035 section 4.1.
fn answer(question: &[u8], says: &Says) -> Vec<u8> {
    let name_end = 12 + question[12..].iter().position(|byte| *byte == 0).unwrap();
    let is_ipv4 = question[name_end + 1..name_end + 3] == [0, 1];
    let says = says.lock().unwrap().clone();
    let code = if says.is_some() { 0 } else { 3 };
    let (addresses, ttl) = says.filter(|_| is_ipv4).unwrap_or_default();
    let count = u8::try_from(addresses.len()).unwrap();
    let mut out = question[..2].to_vec();
    out.extend([0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0]);
    out.extend(&question[12..name_end + 5]);
    for address in addresses {
        out.extend([0xc0, 12, 0, 1, 0, 1]);
        out.extend(ttl.to_be_bytes());
        out.extend([0, 4]);
        out.extend(address.octets());
    }
    out
}

fn asking(port: u16) -> TokioResolver {
    open_at((Ipv4Addr::LOCALHOST, port).into())
}

#[test]
fn names_are_asked_for_again_when_their_time_is_over() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let [one, two] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];
        let says: Says = Arc::new(Mutex::new(Some((vec![two, one], 60))));
        let text = "[[upstream]]\nname = \"u\"\nendpoints = [{ url = \"http://llm.example\" }, { url = \"http://192.0.2.9\" }]\n\
                    [[model]]\nname = \"m\"\nupstream = \"u\"\n";
        let mut resolver = Resolver::new();
        resolver.dns = Some(asking(name_server(Arc::clone(&says)).await));
        let file = crate::config::parse(text, "a.toml").unwrap();
        resolver.want(crate::snapshot::endpoints(&file, &HashMap::new()), Instant::now());
        let known = |resolver: &Resolver| resolver.addresses()["llm.example"].clone();

        assert!(resolver.refresh(Instant::now()).await);
        assert_eq!(known(&resolver), [IpAddr::from(one), IpAddr::from(two)]);
        let wait = resolver.next_due().unwrap() - Instant::now();
        assert!((55..=60).contains(&wait.as_secs()), "the answer lives for 60 s: {wait:?}");
        assert!(!resolver.refresh(Instant::now()).await, "nothing is due");

        let later = Instant::now() + Duration::from_secs(61);
        *says.lock().unwrap() = Some((vec![one, two], 60));
        assert!(!resolver.refresh(later).await, "another order is the same answer");
        *says.lock().unwrap() = Some((vec![two], 0));
        assert!(resolver.refresh(later).await);
        assert_eq!(known(&resolver), [IpAddr::from(two)]);
        let wait = resolver.next_due().unwrap() - Instant::now();
        assert!((4..=5).contains(&wait.as_secs()), "not sooner than every 5 s: {wait:?}");

        *says.lock().unwrap() = None;
        assert!(!resolver.refresh(later).await);
        assert_eq!(known(&resolver), [IpAddr::from(two)], "what was known stays");
        let wait = resolver.next_due().unwrap() - Instant::now();
        assert!(wait <= AGAIN.0, "soon again: {wait:?}");
    });
}
