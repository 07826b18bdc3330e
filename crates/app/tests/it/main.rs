//! The real binary in a home of its own: what is typed, what is answered, with which exit code.
//!
//! One file for each noun or concern; nothing here needs a network.

#[cfg(test)]
mod bench;
#[cfg(test)]
mod canary;
#[cfg(test)]
mod cloud;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod environment;
#[cfg(test)]
mod grammar;
#[cfg(test)]
mod ha;
#[cfg(test)]
mod health;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod monitor;
#[cfg(test)]
mod openstack;
#[cfg(test)]
mod power;
#[cfg(test)]
mod rehearse;
#[cfg(test)]
mod run;
#[cfg(test)]
mod running;
#[cfg(test)]
mod serve;
#[cfg(test)]
mod server;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod state;
#[cfg(test)]
mod telling;
#[cfg(test)]
mod upgrade;
