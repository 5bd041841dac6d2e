//! Who may ask for what.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{HeaderMap, ORIGIN};
use hyper::{Method, StatusCode};

use super::token::Shown;

/// From where the admin socket can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// By those who may open the socket's file.
    File,
    /// By every process and browser on this machine.
    Loopback,
    /// By other hosts.
    Network,
}

impl Reach {
    /// Of a TCP address.
    pub fn of(address: SocketAddr) -> Self {
        if address.ip().to_canonical().is_loopback() {
            Self::Loopback
        } else {
            Self::Network
        }
    }

    /// Whether a request may be answered. `token`: what it shows, where the policy has a token.
    ///
    /// # Errors
    /// Why it may not.
    pub(super) fn permit(
        self,
        need: Need,
        host: Option<&str>,
        token: Option<Shown>,
    ) -> Result<(), Denied> {
        if self == Self::Loopback && !host.is_some_and(names_loopback) {
            return Err(Denied::Host);
        }
        match (self, need, token) {
            (Self::File, ..) | (_, Need::Look, _) | (Self::Loopback, Need::Inside, _) => Ok(()),
            (Self::Loopback, Need::Change, None) | (_, _, Some(Shown::Right)) => Ok(()),
            (Self::Network, _, None) => Err(Denied::Network),
            (_, _, Some(Shown::TooMany)) => Err(Denied::TooMany),
            (_, _, Some(Shown::Nothing | Shown::Wrong)) => Err(Denied::Token),
        }
    }
}

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// It looks at the state.
    Look,
    /// It looks into the policy, which may hold what is not for everybody.
    Inside,
    /// It changes something.
    Change,
}

/// Why a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// A browser may have been talked into it.
    Host,
    /// A page of another site had a browser ask.
    Site,
    /// It comes from where other hosts are, and there is no token.
    Network,
    /// It does not show the token.
    Token,
    /// Too many wrong tokens came from there.
    TooMany,
}

impl Denied {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Host | Self::Site | Self::Network => StatusCode::FORBIDDEN,
            Self::Token => StatusCode::UNAUTHORIZED,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Host => "the Host field must name this machine's loopback address",
            Self::Site => {
                "a page of another site asks for this: the Origin field must name the same host as \
                 the Host field"
            }
            Self::Network => {
                "this is accepted on a loopback address or a Unix socket only, or with a token: \
                 set admin.listen to \"127.0.0.1:9900\" or \"unix:/run/pointsman/admin.sock\", or \
                 set admin.token"
            }
            Self::Token => {
                "the admin token is needed: --token-file or POINTSMAN_TOKEN, as a request \
                 `Authorization: Bearer TOKEN`"
            }
            Self::TooMany => "too many wrong tokens came from this address: wait a minute",
        }
    }
}

/// Refuses what a page of another site has a browser ask: everything but to go to an address, as by
/// a link. What no browser sends has none of these fields (Fetch Metadata; RFC 6454, 7).
pub(super) fn same_site(
    method: &Method,
    fields: &HeaderMap,
    host: Option<&str>,
) -> Result<(), Denied> {
    let field = |name: &str| fields.get(name).map(|value| value.as_bytes());
    let asks = matches!(*method, Method::GET | Method::HEAD);
    let goes = field("sec-fetch-mode") == Some(b"navigate")
        && field("sec-fetch-dest") == Some(b"document");
    let site_fits = match field("sec-fetch-site") {
        None | Some(b"same-origin" | b"none") => true,
        Some(_) => asks && goes,
    };
    let origin_fits = match fields.get(ORIGIN) {
        None => true,
        Some(origin) => origin.to_str().is_ok_and(|origin| {
            let rest = origin.strip_prefix("http://");
            let rest = rest.or_else(|| origin.strip_prefix("https://"));
            rest.zip(host)
                .is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host))
        }),
    };
    match site_fits && origin_fits {
        true => Ok(()),
        false => Err(Denied::Site),
    }
}

/// Whether this host itself asks: over a Unix socket, or from a loopback address for one. A reverse
/// proxy on this host that names the loopback as its target asks for itself.
pub(super) fn is_near(from: Option<IpAddr>, host: Option<&str>) -> bool {
    from.is_none_or(|from| from.is_loopback() && host.is_some_and(names_loopback))
}

fn names_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, _)) => name,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS: [Need; 3] = [Need::Look, Need::Inside, Need::Change];

    #[test]
    fn on_loopback_only_loopback_hosts_are_served() {
        let good = [
            "localhost",
            "LOCALHOST:9900",
            "127.0.0.1:9900",
            "127.1.2.3",
            "[::1]:9900",
        ];
        for (host, need) in good.iter().flat_map(|host| NEEDS.map(|need| (host, need))) {
            let permitted = Reach::Loopback.permit(need, Some(host), None);
            assert_eq!(permitted, Ok(()), "{host} {need:?}");
        }
        let bad = [
            "evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "[::2]",
            "",
            "[::1",
        ];
        let right = Some(Shown::Right);
        for (host, need) in bad.iter().flat_map(|host| NEEDS.map(|need| (host, need))) {
            let permitted = Reach::Loopback.permit(need, Some(host), right);
            assert_eq!(permitted, Err(Denied::Host), "{host} {need:?}");
        }
        let none = Reach::Loopback.permit(Need::Look, None, right);
        assert_eq!(none, Err(Denied::Host));
    }

    #[test]
    fn who_may_do_what_where() {
        use Denied::{Network as Net, Token, TooMany};
        use Shown::{Nothing, Right, Wrong};
        // Where, what is shown, and what comes of looking, looking inside, changing.
        let table = [
            (Reach::File, None, [Ok(()), Ok(()), Ok(())]),
            (Reach::File, Some(Nothing), [Ok(()), Ok(()), Ok(())]),
            (Reach::Loopback, None, [Ok(()), Ok(()), Ok(())]),
            (Reach::Loopback, Some(Nothing), [Ok(()), Ok(()), Err(Token)]),
            (Reach::Loopback, Some(Wrong), [Ok(()), Ok(()), Err(Token)]),
            (Reach::Loopback, Some(Right), [Ok(()), Ok(()), Ok(())]),
            (Reach::Network, None, [Ok(()), Err(Net), Err(Net)]),
            (
                Reach::Network,
                Some(Nothing),
                [Ok(()), Err(Token), Err(Token)],
            ),
            (
                Reach::Network,
                Some(Wrong),
                [Ok(()), Err(Token), Err(Token)],
            ),
            (Reach::Network, Some(Right), [Ok(()), Ok(()), Ok(())]),
            (
                Reach::Network,
                Some(Shown::TooMany),
                [Ok(()), Err(TooMany), Err(TooMany)],
            ),
        ];
        for (reach, shown, expected) in table {
            let got = NEEDS.map(|need| reach.permit(need, Some("127.0.0.1"), shown));
            assert_eq!(got, expected, "{reach:?} {shown:?}");
        }
    }

    #[test]
    fn a_page_of_another_site_is_refused() {
        let ask = |method: Method, fields: &[(&'static str, &str)]| {
            let pair = |(name, value): &(&'static str, &str)| {
                let value = value.parse().expect("a value");
                (hyper::header::HeaderName::from_static(name), value)
            };
            let fields: HeaderMap = fields.iter().map(pair).collect();
            same_site(&method, &fields, Some("127.0.0.1:9900")).is_ok()
        };
        let site = "sec-fetch-site";
        let link = [
            (site, "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        let frame = [
            (site, "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "iframe"),
        ];
        assert!(ask(Method::POST, &[]), "no browser");
        assert!(ask(
            Method::POST,
            &[(site, "same-origin"), ("origin", "http://127.0.0.1:9900")]
        ));
        assert!(ask(Method::GET, &[(site, "none")]), "typed");
        assert!(ask(Method::GET, &link), "a link");
        assert!(!ask(Method::POST, &link), "a form");
        assert!(!ask(Method::GET, &frame));
        assert!(!ask(
            Method::GET,
            &[(site, "cross-site"), ("sec-fetch-mode", "no-cors")]
        ));
        assert!(!ask(Method::POST, &[(site, "same-site")]), "another port");
        for origin in [
            "null",
            "http://evil.example",
            "http://127.0.0.1:9901",
            "file://127.0.0.1:9900",
        ] {
            assert!(!ask(Method::POST, &[("origin", origin)]), "{origin}");
        }
    }

    #[test]
    fn near_is_who_asks_from_this_host_for_this_host() {
        let here = Some(IpAddr::from([127, 0, 0, 1]));
        let there = Some(IpAddr::from([10, 0, 0, 1]));
        assert!(is_near(None, None) && is_near(here, Some("localhost:9900")));
        assert!(!is_near(here, Some("lb.example")) && !is_near(there, Some("localhost")));
        assert!(!is_near(here, None));
    }

    #[test]
    fn an_ipv4_loopback_written_as_ipv6_is_loopback() {
        let mapped = "[::ffff:127.0.0.1]:9900".parse().expect("an address");
        assert_eq!(Reach::of(mapped), Reach::Loopback);
        assert_eq!(
            Reach::of("[::]:9900".parse().expect("an address")),
            Reach::Network
        );
    }
}
