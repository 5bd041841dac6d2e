//! This host: its interfaces and addresses, by rtnetlink; the guardian that takes addresses back.

pub mod guardian;
pub mod netlink;
mod soft;
pub mod sysctl;
pub mod tun;
pub mod virtual_mac;

pub use guardian::{Charge, Farewell, Guardian, Held};
pub use netlink::{
    Change, Device, Host, Link, LinkWatch, Neighbour, News, Rule, Scope, Way, WayWatch,
};
pub use sysctl::Sysctl;
pub use tun::AddressDevice;
pub use virtual_mac::VirtualMac;
