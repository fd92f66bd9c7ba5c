//! HTTP/1.1 as clients speak it, well or badly: nothing that is not sound goes on to a model server.

mod connections;
mod hardness;
mod responses;
