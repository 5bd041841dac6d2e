use std::path::Path;

use super::Policy;
use crate::check::check;
use crate::decode::decode;
use crate::diagnostics::Diagnostics;
use crate::digest;
use crate::load::{Loaded, load_path, load_text};
use crate::outline::outline;
use crate::report::Report;
use crate::source::{Node, Place, Table, Value};

impl Policy {
    /// Reads a policy file and what it includes. The report of an error holds all problems, those
    /// of included files too; warnings of a sound policy are in [`Policy::warnings`].
    pub fn from_path(path: &Path) -> Result<Self, Report> {
        let mut diagnostics = Diagnostics::default();
        let loaded = load_path(path, &mut diagnostics);
        build(loaded, diagnostics)
    }

    /// Reads a text as if it stood in a file of this name; includes are relative to its folder.
    pub fn from_toml(text: &str, name: &Path) -> Result<Self, Report> {
        let mut diagnostics = Diagnostics::default();
        let loaded = load_text(text, name, &mut diagnostics);
        build(loaded, diagnostics)
    }

    /// The policy of `run --listen LISTEN --backend BACKEND ...`: one listener `web`, one route, one
    /// pool `app`. Problems are told at the argument.
    pub fn simple(listen: &str, backends: &[String]) -> Result<Self, Report> {
        let mut diagnostics = Diagnostics::default();
        let root = simple_tree(listen, backends, &mut diagnostics);
        let loaded = Loaded {
            root,
            well_formed: true,
            ..Loaded::default()
        };
        build(Some(loaded), diagnostics)
    }
}

fn build(loaded: Option<Loaded>, mut diagnostics: Diagnostics) -> Result<Policy, Report> {
    let Some(loaded) = loaded else {
        return Err(diagnostics.into_report());
    };
    let mut decoded = decode(&loaded.root, &mut diagnostics);
    if loaded.well_formed {
        check(&mut decoded, &mut diagnostics);
    } else {
        diagnostics.drop_echoes_of_syntax_errors();
    }
    if diagnostics.errors() > 0 {
        return Err(diagnostics.into_report());
    }
    let contacts: Vec<_> = decoded
        .contacts
        .into_iter()
        .map(|placed| placed.item)
        .collect();
    let routes: Vec<_> = decoded
        .routes
        .into_iter()
        .map(|placed| placed.item)
        .collect();
    let pools: Vec<_> = decoded
        .pools
        .into_iter()
        .map(|placed| placed.item)
        .collect();
    let things = (&*routes, &*pools, &*contacts);
    Ok(Policy {
        outline: outline(&loaded.root, things, &diagnostics.sources),
        process: decoded.process,
        admin: decoded.admin,
        access_log: decoded.access_log,
        trace: decoded.trace,
        listeners: decoded
            .listeners
            .into_iter()
            .map(|placed| placed.item)
            .collect(),
        routes,
        pools,
        shared_digest: digest::shared(&loaded.root, &contacts),
        contacts,
        agents: decoded.agents.map(|placed| placed.item),
        sources: loaded.files,
        folders: loaded.folders,
        digest: loaded.digest,
        warnings: diagnostics.into_report(),
    })
}

fn simple_tree(listen: &str, backends: &[String], diagnostics: &mut Diagnostics) -> Table {
    let mut argument = |flag: &str, text: &str| {
        let source = diagnostics.sources.add(flag, text);
        Node::string(Place::new(source, 0..text.len()), text)
    };
    let bind = argument("--listen", listen);
    let place = bind.place;
    let backends = backends
        .iter()
        .map(|backend| argument("--backend", backend))
        .collect();
    let node = |value| Node { place, value };
    let table = |key: &str, value| node(Value::Table(Table::empty(place).with(key, value)));
    let pool_name = Node::string(place, "app");
    Table::empty(place)
        .with("listener", table("web", table("bind", bind)))
        .with("route", node(Value::Array(vec![table("pool", pool_name)])))
        .with(
            "pool",
            table("app", table("backends", node(Value::Array(backends)))),
        )
}
