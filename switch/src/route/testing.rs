//! A request as the tests of routing write it.

use std::net::{IpAddr, Ipv4Addr};

use super::RequestView;

/// A request head; fields in the order in which they came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'r> {
    pub(super) method: &'r str,
    pub(super) host: &'r str,
    pub(super) path: &'r str,
    pub(super) query: Option<&'r str>,
    pub(super) fields: &'r [(&'r str, &'r str)],
    pub(super) client: IpAddr,
    pub(super) listener: &'r str,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self {
            method: "GET",
            host: "",
            path: "/",
            query: None,
            fields: &[],
            client: Ipv4Addr::LOCALHOST.into(),
            listener: "web",
        }
    }
}

impl RequestView for Request<'_> {
    fn method(&self) -> &str {
        self.method
    }

    fn host(&self) -> &str {
        self.host
    }

    fn path(&self) -> &str {
        self.path
    }

    fn query(&self) -> Option<&str> {
        self.query
    }

    fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let named = move |field: &&(&str, &str)| field.0 == name;
        self.fields
            .iter()
            .filter(named)
            .map(|field| field.1.as_bytes())
    }

    fn client(&self) -> IpAddr {
        self.client
    }

    fn listener(&self) -> &str {
        self.listener
    }
}
