//! The cloud on top of keystone: RabbitMQ, Placement, Glance, Neutron, Nova with its compute nodes, and Masakari to compare with.
//!
//! Must never be part of a lab that did not ask for it: a lab of keystone alone stays as small as it is.

pub(crate) mod api;
pub(crate) mod catalogue;
pub(crate) mod emulator;
pub(crate) mod files;
pub(crate) mod form;
pub(crate) mod identity;
pub(crate) mod instances;
pub(crate) mod monitors;
pub(crate) mod packages;
pub(crate) mod trial;
