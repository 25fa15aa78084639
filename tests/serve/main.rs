//! `kiln serve`, asked over the network as clients ask it.

#![cfg(feature = "serve")]

mod chat;
mod errors;
mod guard;
mod load;
mod logprobs;
mod server;
mod steering;
mod texts;
