//! demo
/// shim
pub fn run(_d: crate::args::Demo) -> crate::app::Exit { crate::app::Exit::Ok }
