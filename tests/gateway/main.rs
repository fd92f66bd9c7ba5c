//! Does the binary work, seen from outside? The gateway as a process of its own, a client and model servers that share
//! no code with it.
//!
//! `GATEWAY_DRIVER=epoll cargo test --test gateway` asks the same of a gateway that does without io_uring.

mod support;

mod admin;
mod admission;
mod cli;
mod discovery;
mod drain;
mod facts;
mod held;
mod http1;
mod names;
mod overload;
mod proxy;
mod relay;
mod reload;
mod requests;
mod resilience;
mod shards;
mod streams;
mod tls;
mod versions;
