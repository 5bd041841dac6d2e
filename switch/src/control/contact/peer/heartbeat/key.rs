//! The key with which a process authenticates its heartbeats.

use std::fmt;
use std::io;

use aws_lc_rs::{constant_time, hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::MAC;

/// Drawn when the process starts, and told to the peers over their sessions.
#[derive(Clone)]
pub struct HeartbeatKey {
    bytes: [u8; 32],
    hmac: hmac::Key,
}

impl HeartbeatKey {
    /// A new one.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0; 32];
        rand::fill(&mut bytes).map_err(|_| io::Error::other("there are no random numbers"))?;
        Ok(Self::new(bytes))
    }

    /// Of a Hello; `None`: these are not 32 bytes in base64 (RFC 4648, 4).
    pub fn from_base64(text: &str) -> Option<Self> {
        // Longer text is not worth a look.
        let text = Some(text).filter(|text| text.len() == 44)?;
        let bytes = STANDARD.decode(text).ok()?;
        Some(Self::new(bytes.try_into().ok()?))
    }

    /// For a Hello.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.bytes)
    }

    fn new(bytes: [u8; 32]) -> Self {
        Self {
            bytes,
            hmac: hmac::Key::new(hmac::HMAC_SHA256, &bytes),
        }
    }

    pub(in crate::control::contact::peer) fn mac(&self, bytes: &[u8]) -> [u8; MAC] {
        let tag = hmac::sign(&self.hmac, bytes);
        *tag.as_ref()
            .first_chunk()
            .expect("the tag of SHA-256 is longer")
    }

    /// Takes as long whatever the difference is.
    pub(super) fn fits(&self, bytes: &[u8], mac: &[u8]) -> bool {
        constant_time::verify_slices_are_equal(&self.mac(bytes), mac).is_ok()
    }
}

impl fmt::Debug for HeartbeatKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeartbeatKey(..)")
    }
}
