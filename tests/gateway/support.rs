//! What every test stands on: the gateway as a process, a client, and model servers that do as they are told.

pub(crate) mod connection;
pub(crate) mod gateway;
pub(crate) mod tls;
pub(crate) mod upstream;

pub(crate) use connection::Connection;
pub(crate) use connection::Message;
pub(crate) use gateway::COMMITS_SOON;
pub(crate) use gateway::Gateway;
pub(crate) use gateway::Setup;
pub(crate) use gateway::await_true;
pub(crate) use gateway::chat;
pub(crate) use gateway::get;
pub(crate) use gateway::one;
pub(crate) use gateway::post;
pub(crate) use upstream::Answering;
pub(crate) use upstream::EVENTS;
pub(crate) use upstream::Upstream;
pub(crate) use upstream::chunk;
pub(crate) use upstream::ok;
