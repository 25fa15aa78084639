//! The real client against a server of our own.

mod dataset;
mod download;
mod model;
mod server;
