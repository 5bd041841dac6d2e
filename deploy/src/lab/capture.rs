//! What is on the wire: tcpdump in a host.

use std::fs;

use tempfile::TempDir;

use super::{Daemon, Host, INTERFACE};

/// Bytes of a pcap file's header, and of the header of each frame in it.
const FILE_HEADER: usize = 24;
const FRAME_HEADER: usize = 16;
/// The first bytes of a pcap file that this machine wrote, with times in microseconds.
const MAGIC: u32 = 0xa1b2_c3d4;

/// A capture that goes on.
#[derive(Debug)]
pub struct Capture {
    daemon: Daemon,
    folder: TempDir,
}

impl Capture {
    /// Begins to capture what comes and goes at `e0` of this host, such as `arp or proto 112`.
    pub fn start(host: &Host, filter: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = host.command("tcpdump");
        command
            .args([
                "-n",
                "-U",
                "--immediate-mode",
                "-i",
                INTERFACE,
                "-Z",
                "root",
            ])
            .arg("-w")
            .arg(folder.path().join("frames.pcap"))
            .arg(filter);
        let mut daemon = Daemon::start(&format!("tcpdump of {}", host.name()), &mut command);
        daemon.wait_for_log("listening on");
        Self { daemon, folder }
    }

    /// Ends it: the frames, each from its Ethernet header on.
    ///
    /// # Panics
    ///
    /// When tcpdump wrote no file that can be read.
    pub fn stop(mut self) -> Vec<Vec<u8>> {
        self.daemon.stop();
        let bytes = fs::read(self.folder.path().join("frames.pcap")).expect("tcpdump wrote a file");
        frames(&bytes).expect("tcpdump writes pcap")
    }
}

/// The frames of a pcap file; the last one may be cut off.
fn frames(file: &[u8]) -> Option<Vec<Vec<u8>>> {
    if number(file, 0)? != MAGIC {
        return None;
    }
    let mut frames = Vec::new();
    let mut rest = file.get(FILE_HEADER..)?;
    while let Some(length) = number(rest, 8) {
        let end = FRAME_HEADER + usize::try_from(length).ok()?;
        let Some(frame) = rest.get(FRAME_HEADER..end) else {
            break;
        };
        frames.push(frame.to_vec());
        rest = &rest[end..];
    }
    Some(frames)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_until_the_first_that_is_cut_off() {
        let mut file = MAGIC.to_ne_bytes().to_vec();
        file.resize(FILE_HEADER, 0);
        for frame in [&b"one"[..], b"three"] {
            let length = u32::try_from(frame.len()).unwrap().to_ne_bytes();
            file.extend([[0; 4], [0; 4], length, length].concat());
            file.extend(frame);
        }
        assert_eq!(frames(&file).unwrap(), [&b"one"[..], b"three"]);
        file.pop();
        assert_eq!(frames(&file).unwrap(), [b"one"]);
        assert_eq!(frames(b"not a capture"), None);
    }
}
