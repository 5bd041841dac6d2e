//! The small languages inside strings: durations, sizes, rates, shares, addresses, hosts, paths.
//! Each parser is pure and says what is wrong and what to write instead.

mod address;
mod bytes;
mod duration;
mod host;
mod http;
mod interface;
mod name;
mod path;
mod rate;
mod share;
mod size;
mod url;

pub use address::{parse_backend, parse_bind, parse_network, parse_resolver, parse_service};
pub use bytes::parse_bytes;
pub use duration::{format_duration, parse_duration};
pub use host::{parse_host, parse_server_name};
pub use http::{
    parse_editable_field_name, parse_field_name, parse_field_value, parse_method, parse_statuses,
    parse_token, parse_value_pattern,
};
pub use interface::{parse_interface, parse_interface_address, parse_ip};
pub use name::{MAX_NAME, parse_name};
pub use path::{parse_path, parse_path_pattern};
pub use rate::{format_byte_rate, parse_byte_rate, parse_rate};
pub use share::{format_share, parse_share};
pub use size::{format_size, parse_size};
pub use url::parse_http_url;

/// Why a text does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl Unfit {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Unfit {}

/// Splits `12abc` into its digits and the rest.
fn split_number(text: &str) -> (&str, &str) {
    text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    )
}
