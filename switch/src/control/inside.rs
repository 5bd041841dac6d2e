//! What `GET /policy` tells: the policy in force, thing by thing.

use pointsman_config::outline::Outline;
use pointsman_config::policy::Policy;
use serde::{Deserialize, Serialize};

/// The policy in force. Another version may leave out or add fields.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct InForce {
    /// The digest of all that was read.
    pub digest: String,
    /// What it says.
    pub outline: Outline,
}

impl InForce {
    /// Of this policy.
    pub fn of(policy: &Policy) -> Self {
        Self {
            digest: policy.digest.clone(),
            outline: policy.outline.clone(),
        }
    }
}
