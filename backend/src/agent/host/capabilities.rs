//! What this process may do (capabilities(7)).

use std::fs;

/// A capability that direct return needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Capability {
    /// Addresses, settings of the network, MPTCP, programs at interfaces.
    NetAdmin = 12,
    /// Programs that look into packets.
    Perfmon = 38,
    /// Programs of the kernel.
    Bpf = 39,
}

impl Capability {
    fn name(self) -> &'static str {
        match self {
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::Perfmon => "CAP_PERFMON",
            Self::Bpf => "CAP_BPF",
        }
    }
}

/// Which of these this process lacks, and how to grant them; `None`: it has all.
pub(super) fn lack(wanted: &[Capability]) -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    missing(wanted, effective(&status)?)
}

fn effective(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn missing(wanted: &[Capability], effective: u64) -> Option<String> {
    let lacks = wanted
        .iter()
        .filter(|one| effective & (1 << **one as u64) == 0);
    let names: Vec<&str> = lacks.map(|one| one.name()).collect();
    if names.is_empty() {
        return None;
    }
    Some(format!(
        "direct return needs {}, which this process lacks: grant it in its systemd unit with \
         AmbientCapabilities={} (deploy/systemd/agent-direct.conf), or with `setcap {}+ep` on the \
         program's file",
        names.join(" and "),
        names.join(" "),
        names.join(",").to_lowercase()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lacks_is_named_with_the_remedy() {
        let all = [Capability::NetAdmin, Capability::Bpf, Capability::Perfmon];
        assert_eq!(missing(&all, u64::MAX), None);
        let told = missing(&all, 1 << 12).unwrap();
        assert!(told.contains("needs CAP_BPF and CAP_PERFMON,"), "{told}");
        assert!(told.contains("setcap cap_bpf,cap_perfmon+ep"), "{told}");
        assert_eq!(
            effective("Name:\tx\nCapEff:\t0000000000001000\n"),
            Some(1 << 12)
        );
    }
}
