//! The one table of metrics: the code, the reference page and the checks of dashboards and rules
//! read it.

use std::fmt::Write as _;

/// How a metric behaves over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Only rises while the process lives.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts observations by size.
    Histogram,
}

impl Kind {
    /// The word of the text format.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// The full name.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// The names of its labels, in order.
    pub labels: &'static [&'static str],
    /// What it says, in one sentence.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($family:ident $name:literal $kind:ident [$($label:literal)*] $help:literal;)*) => {
        /// A row of the table, by name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(usize)]
        pub(super) enum Family { $($family,)* }

        impl Family {
            pub(super) const ALL: &'static [Family] = &[$(Family::$family,)*];
        }

        static TABLE: &[Metric] = &[$(Metric {
            name: $name,
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
        },)*];
    };
}

metrics! {
    Requests "pointsman_requests_total" Counter
        ["listener" "route" "code" "method" "protocol"]
        "Requests from clients that were finished.";
    RequestDuration "pointsman_request_duration_seconds" Histogram ["route" "pool"]
        "Time from the end of a request's head to the last byte of its answer.";
    RequestBytes "pointsman_request_bytes_total" Counter ["route"]
        "Bytes of request bodies from clients.";
    ResponseBytes "pointsman_response_bytes_total" Counter ["route"]
        "Bytes of response bodies to clients.";
    RequestsInFlight "pointsman_requests_in_flight" Gauge ["route"]
        "Requests under way.";
    Errors "pointsman_errors_total" Counter ["route" "reason"]
        "Requests that were not served as their client wished, by the reason that also stands in the access log and in Proxy-Status.";
    BackendRequests "pointsman_backend_requests_total" Counter ["pool" "backend" "code_class"]
        "Attempts at a backend by the class of its answer; code_class \"none\" when no answer came.";
    BackendRequestDuration "pointsman_backend_request_duration_seconds" Histogram ["pool" "backend"]
        "Time that one attempt at a backend took.";
    BackendConnectDuration "pointsman_backend_connect_duration_seconds" Histogram ["pool" "backend"]
        "Time until a new connection to a backend stood.";
    BackendUp "pointsman_backend_up" Gauge ["pool" "backend"]
        "1 when the backend is up, 0 otherwise.";
    BackendState "pointsman_backend_state" Gauge ["pool" "backend" "state"]
        "1 for the state that the backend is in, 0 for the others; draining and disabled are the operator's doing, whatever its health.";
    BackendInFlight "pointsman_backend_in_flight" Gauge ["pool" "backend"]
        "Requests and TCP connections under way at the backend.";
    BackendWeight "pointsman_backend_weight" Gauge ["pool" "backend"]
        "The backend's weight, 0 to 1000.";
    BackendUtilization "pointsman_backend_utilization" Gauge ["pool" "backend"]
        "What the backend has last reported of its load, 1 is all that it has; only where it reports, and for ten seconds.";
    BackendEffectiveWeight "pointsman_backend_effective_weight" Gauge ["pool" "backend"]
        "The backend's weight as it counts now: in its slow start a part of it.";
    BackendTransitions "pointsman_backend_transitions_total" Counter ["pool" "backend" "from" "to"]
        "Changes of a backend's state.";
    HealthChecks "pointsman_health_checks_total" Counter ["pool" "backend" "result"]
        "Health checks by result (success, failure).";
    HealthCheckDuration "pointsman_health_check_duration_seconds" Histogram ["pool" "backend"]
        "Time that a health check took.";
    DiscoveryUp "pointsman_discovery_up" Gauge ["source"]
        "1 when a source of backends last told a list, 0 when it last failed; what it told before holds all the same.";
    DiscoveryBackends "pointsman_discovery_backends" Gauge ["source"]
        "Backends of the list that a source last told.";
    DiscoveryLookups "pointsman_discovery_lookups_total" Counter ["source" "result"]
        "Lookups of a source of backends by result (success, failure); of a file, how often it changed.";
    DiscoveryChanges "pointsman_discovery_changes_total" Counter ["source"]
        "Lists of a source that were not the same as the one before.";
    DiscoveryLastSuccess "pointsman_discovery_last_success_timestamp_seconds" Gauge ["source"]
        "When a source last told a list, in seconds since 1970.";
    Agents "pointsman_agents" Gauge ["pool" "state"]
        "Servers that agents have registered, by state: ready, not-ready, leaving (after a farewell), lost (its agent is waited for).";
    AgentRegistrations "pointsman_agent_registrations_total" Counter ["pool"]
        "Registrations of servers by agents, those included that came back.";
    AgentLosses "pointsman_agent_losses_total" Counter ["pool"]
        "Sessions of agents that ended without a farewell.";
    AgentsRefused "pointsman_agents_refused_total" Counter ["reason"]
        "Connections of agents that were refused or cut off: stranger (a network that is not allowed), full, late, unauthentic (another secret, a replay), forged, protocol, flood, unknown-pool, not-by-agents, foreign-address, wrong-port, name-taken, too-many, replaced, closed.";
    Ejections "pointsman_ejections_total" Counter ["pool" "reason"]
        "Backends that were taken out for what clients got from them, by the error that did it (status: an answer of 500, 502, 503 or 504; ratio: too large a share of errors).";
    Panic "pointsman_panic" Gauge ["pool"]
        "1 while fewer backends of the pool are healthy than panic_below, 0 otherwise.";
    Retries "pointsman_retries_total" Counter ["pool" "result"]
        "Requests that were tried on more than one backend, by result (success, failure).";
    RetryBudgetExhausted "pointsman_retry_budget_exhausted_total" Counter ["pool"]
        "Further tries that were not made since the pool's retry budget was spent.";
    Hedges "pointsman_hedges_total" Counter ["pool" "result"]
        "Requests that a second backend was asked as well, since the first had not answered in time, by result: it answered first (won) or not (lost).";
    QueueLength "pointsman_queue_length" Gauge ["pool"]
        "Requests that wait for a backend that has room.";
    QueueTimeouts "pointsman_queue_timeouts_total" Counter ["pool"]
        "Requests that were refused since no backend had room in time.";
    QueueDuration "pointsman_queue_duration_seconds" Histogram ["pool"]
        "Time that requests waited for a backend that has room, those included that found none.";
    BackendLimit "pointsman_backend_limit" Gauge ["pool" "backend"]
        "Requests that a backend may have under way now, where there is a limit.";
    Connections "pointsman_connections" Gauge ["listener" "state"]
        "Connections from clients that are open.";
    ConnectionsTotal "pointsman_connections_total" Counter ["listener"]
        "Connections from clients that were accepted.";
    ConnectionsRefused "pointsman_connections_refused_total" Counter ["listener" "reason"]
        "Connections from clients that were not taken in: a limit of the listener (limit), the process at its limit (overload).";
    RequestsAmbiguous "pointsman_requests_ambiguous_total" Counter ["listener"]
        "Requests that two parsers may read differently and that passed, made plain (desync = defensive or monitor).";
    TlsCertNotAfter "pointsman_tls_cert_not_after_seconds" Gauge ["listener" "name"]
        "When a certificate's validity ends, in seconds since 1970, by the first host that it is for.";
    TlsHandshakes "pointsman_tls_handshakes_total" Counter ["listener" "result" "version"]
        "TLS handshakes with clients by result (success, failure) and version.";
    TcpBytes "pointsman_tcp_bytes_total" Counter ["listener" "direction"]
        "Bytes that a TCP listener passed on, from clients (in) and to them (out).";
    DirectInterface "pointsman_direct_interface_info" Gauge ["interface" "datapath"]
        "Always 1: the interfaces at which packets of direct pools are taken up, and by which datapath.";
    DirectPackets "pointsman_direct_packets_total" Counter ["listener" "service"]
        "Packets that the kernel passed on, by the service that they were for; over restarts of the process.";
    DirectBytes "pointsman_direct_bytes_total" Counter ["listener" "service"]
        "Bytes of packets that the kernel passed on: what clients sent, as answers do not come by.";
    DirectFlows "pointsman_direct_flows_total" Counter ["listener" "service"]
        "Connections, and what counts as such of UDP, that began at a service.";
    DirectDropped "pointsman_direct_dropped_total" Counter ["listener" "service" "reason"]
        "Packets to a service that were dropped, by reason.";
    DirectBackendPackets "pointsman_direct_backend_packets_total" Counter ["pool" "backend"]
        "Packets that the kernel passed on to a backend.";
    DirectBackendBytes "pointsman_direct_backend_bytes_total" Counter ["pool" "backend"]
        "Bytes of packets that the kernel passed on to a backend.";
    DirectBackendFlows "pointsman_direct_backend_flows_total" Counter ["pool" "backend"]
        "Connections, and what counts as such of UDP, that began at a backend.";
    DirectBackendState "pointsman_direct_backend_state" Gauge ["pool" "backend" "state"]
        "1 for what a backend gets of packets now (active, draining, dead; unknown: no way there is known yet), 0 for the others.";
    DirectPassed "pointsman_direct_passed_total" Counter ["reason"]
        "Packets at the interfaces of direct pools that were left to the host, by reason.";
    DirectUnlearnt "pointsman_direct_unlearnt_total" Counter []
        "Connections that were not remembered, as too many began at once: they go by the ring.";
    DirectMirrored "pointsman_direct_mirrored_flows" Gauge ["direction"]
        "Connections of draining servers that the other switches of the contact group are told of (out), or have told of (in).";
    DirectMirrorIgnored "pointsman_direct_mirror_ignored_total" Counter ["reason"]
        "Connections that other switches have told of and that were passed over: of a service or backend that is unknown here, malformed, beyond the bound, or not taken up in time (overflow).";
    ContactInfo "pointsman_contact_info" Gauge ["address" "announce" "group" "interface"]
        "Always 1: how a contact address is announced (vrrp, bgp), its group and its interface.";
    ContactRole "pointsman_contact_role" Gauge ["address" "role"]
        "1 for what the switch is for a contact address (active, standby, out), 0 for the others.";
    ContactPriority "pointsman_contact_priority" Gauge ["address"]
        "The priority with which the switch stands for a contact address now, 0 to 255.";
    ContactTransitions "pointsman_contact_transitions_total" Counter ["address" "to" "reason"]
        "Changes of the switch's role for a contact address, by the new role and the reason.";
    ContactTakeoverDuration "pointsman_contact_takeover_duration_seconds" Gauge ["address"]
        "What the switch's last takeover of a contact address took, from the last sign of the holder before to the first announcement.";
    ContactStandbys "pointsman_contact_standbys" Gauge ["address"]
        "Other switches that would take a contact address over, as far as this one knows.";
    ContactConflicts "pointsman_contact_conflicts_total" Counter ["address"]
        "Times that another switch was found to hold a contact address while this one held it, too.";
    ContactRelayedPackets "pointsman_contact_relayed_packets_total" Counter ["address"]
        "Packets to a contact address that belong to connections of another switch and were passed on to it.";
    ContactAdverts "pointsman_contact_adverts_total" Counter ["address" "direction"]
        "VRRP adverts that came and were believed (in), and that were sent (out).";
    ContactDropped "pointsman_contact_dropped_total" Counter ["reason"]
        "Adverts and heartbeats that came and were not believed, by reason.";
    ContactPeerUp "pointsman_contact_peer_up" Gauge ["peer"]
        "1 while the switch is in touch with another one, 0 otherwise.";
    ContactPeerPolicyDiffers "pointsman_contact_peer_policy_differs" Gauge ["peer"]
        "1 when another switch runs a policy that does not fit this one's, 0 when it fits; not shown while it is unknown.";
    ContactPeerLosses "pointsman_contact_peer_losses_total" Counter ["peer"]
        "Times that another switch was taken for dead.";
    ContactLoopDelay "pointsman_contact_loop_delay_seconds" Histogram []
        "How much later than it had asked for the thread of the contact addresses woke.";
    ConfigReloads "pointsman_config_reloads_total" Counter ["result"]
        "Reloads of the policy by result (success, failure).";
    ConfigLastReloadSuccess "pointsman_config_last_reload_success" Gauge []
        "1 when the policy last read came into force, 0 when it was refused.";
    ConfigLastReloadTime "pointsman_config_last_reload_timestamp_seconds" Gauge []
        "When the policy in force came into force, in seconds since 1970.";
    ConfigInfo "pointsman_config_info" Gauge ["hash" "version"]
        "Always 1: the digest of the policy in force and the program's version.";
    EventsDropped "pointsman_events_dropped_total" Counter []
        "Events from the data plane that were dropped since the control plane lagged behind.";
    AccessLogDropped "pointsman_access_log_dropped_total" Counter []
        "Lines of the access log that were dropped since their target took no more.";
    TraceSpans "pointsman_trace_spans_total" Counter ["result"]
        "Spans of sampled requests by what became of them: taken by the collector (exported), without room while they waited (dropped), refused or not taken in time (lost).";
    TraceExports "pointsman_trace_exports_total" Counter ["result"]
        "Exports of spans to the collector by result (success, failure).";
    DroppedSeries "pointsman_metrics_dropped_series_total" Counter ["family"]
        "Label combinations that are not shown since their family has reached its cap.";
    ProcessCpu "process_cpu_seconds_total" Counter []
        "Processor time of the process, user and system.";
    ProcessResident "process_resident_memory_bytes" Gauge []
        "Resident memory of the process.";
    ProcessOpenFds "process_open_fds" Gauge []
        "File descriptors that the process has open.";
    ProcessMaxFds "process_max_fds" Gauge []
        "File descriptors that the process may have open.";
    ProcessThreads "process_threads" Gauge []
        "Threads of the process.";
    ProcessStart "process_start_time_seconds" Gauge []
        "When the process started, in seconds since 1970.";
}

impl Family {
    /// Its row.
    pub(super) fn metric(self) -> &'static Metric {
        &TABLE[self as usize]
    }
}

/// Every metric of the switch.
pub fn table() -> &'static [Metric] {
    TABLE
}

/// The reference page of the metrics, in Markdown.
pub fn reference_markdown() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         The switch serves them at `/metrics` of the admin listener, in the Prometheus text \
         format, or in that of OpenMetrics 1.0, with exemplars, to who would rather have it. Times are in seconds, sizes in bytes.\n\n\
         | Metric | Type | Labels | Meaning |\n|---|---|---|---|\n",
    );
    for metric in TABLE {
        let labels: Vec<_> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} |",
            metric.name,
            metric.kind.word(),
            labels.join(", "),
            metric.help,
        );
    }
    page.push_str(
        "\nLabel values are names from the policy. `_none` stands for a request that no route or \
         pool took, `_OTHER` for a method that is none of the standard ones. The edges of all \
         histograms are 1, 2.5, 5, 10, 25, 50, 100, 250 and 500 ms and 1, 2.5, 5 and 10 s.\n",
    );
    page
}
