use super::reader::Reader;
use super::{AgentsPlaces, Placed, scalar};
use crate::diagnostics::Diagnostics;
use crate::policy::{Agents, BindAddr, Secret};
use crate::source::{Place, Value};
use crate::value::{Unfit, parse_bind, parse_network};

/// The most addresses of `listen`, and the most networks.
const MAX_PLACES: usize = 64;

/// Decodes `[agents]`, where it is written.
pub(super) fn agents(
    root: &Reader<'_>,
    d: &mut Diagnostics,
) -> Option<Placed<Agents, AgentsPlaces>> {
    let table = root.find("agents")?.key_place;
    let errors = d.errors();
    let reader = root.settings(d, "agents");
    let (listen, listens): (Vec<BindAddr>, _) = several(&reader, d, "listen", parse_listen);
    if let Some(written) = reader.find("listen")
        && matches!(&written.node.value, Value::Array(items) if items.is_empty())
    {
        let message = "`listen` needs at least one address";
        d.error(written.node.place, "bad-value", message);
    }
    let secret = scalar::secret(&reader, "secret", "agents.secret", d);
    reader.require(d, "listen");
    reader.require(d, "secret");
    let item = Agents {
        listen,
        secret: secret.unwrap_or_else(|| Secret::new("")),
        from: several(&reader, d, "from", parse_network).0,
        addresses: several(&reader, d, "addresses", parse_network).0,
        grace: reader.duration(d, "grace"),
    };
    Some(Placed {
        item,
        places: AgentsPlaces { table, listens },
        sound: d.errors() == errors,
    })
}

fn several<T>(
    reader: &Reader<'_>,
    d: &mut Diagnostics,
    name: &str,
    parse: impl Fn(&str) -> Result<T, Unfit>,
) -> (Vec<T>, Vec<Place>) {
    let found = reader.texts(d, name, parse);
    if let Some((_, place)) = found.get(MAX_PLACES) {
        let message = format!("`{name}` has {MAX_PLACES} values at most");
        d.error(*place, "out-of-range", message);
    }
    found.into_iter().unzip()
}

fn parse_listen(text: &str) -> Result<BindAddr, Unfit> {
    match parse_bind(text)? {
        BindAddr::Unix(_) => Err(Unfit::new("agents connect over TCP, not to a Unix socket")
            .help("write \"10.0.0.1:9113\" or \":9113\"")),
        bind => Ok(bind),
    }
}
