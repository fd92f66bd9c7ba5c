//! Do real clients, servers and tools work with the real binary? OpenAI's and Anthropic's SDKs, Chromium, curl, nginx, HAProxy,
//! promtool, wrk; everything on loopback, every process killed at the end.
//!
//! `install.sh` installs what is needed; with `CI=true` or `RINGWAY_TEST_INSTALL=1` it is called from here and nothing
//! may be missing. Elsewhere a test whose tools are missing says so and passes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod browser;
#[path = "../golden/cases.rs"]
mod cases;
mod consul;
mod curl;
mod etcd;
mod front;
mod gateway;
mod llm;
mod load;
mod needs;
mod process;
mod proxies;
mod sdk;
mod streams;
mod tls;
mod tokens;
mod tools;
