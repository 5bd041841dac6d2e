//! What this host alone has: see machine-id(5).

use std::fs;
use std::sync::OnceLock;

/// Where it stands; the second one on hosts without systemd.
const FILES: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];

/// A text that is the same for the life of the host and of no other one, or that of this process
/// where the host has none, which is logged. It must not be told to anybody.
pub fn machine_id() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| FILES.iter().find_map(read).unwrap_or_else(random))
}

fn read(file: &&str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let id = text.trim();
    // The file of an image that has not started yet says "uninitialized".
    let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| id.to_owned())
}

fn random() -> String {
    tracing::warn!(
        "this host has no /etc/machine-id: sticky cookies do not outlive the process; give \
         `sticky.key`"
    );
    let mut bytes = [0; 16];
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        tracing::error!("the system gives no random bytes: sticky cookies can be guessed");
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_the_same_one_every_time() {
        assert_eq!(machine_id(), machine_id());
        assert_eq!(machine_id().len(), 32);
    }
}
