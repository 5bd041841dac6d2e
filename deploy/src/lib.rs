//! What Pointsman ships beside its binaries: example policies, a Grafana dashboard, Prometheus
//! rules, systemd units. The tests of this package hold them true to the code.

pub mod lab;
