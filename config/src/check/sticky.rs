use crate::decode::Decoded;
use crate::policy::{Secret, StickyKey};

/// Gives cookies without a key of their own the secret of the contact group: what its switches have
/// in common in any case. With several groups the order of the file must not matter.
pub(super) fn fill_in_keys(decoded: &mut Decoded) {
    let secrets = decoded.contacts.iter();
    let secrets = secrets.filter_map(|contact| contact.item.secret.as_ref());
    let Some(least) = secrets.map(Secret::expose).min() else {
        return;
    };
    let group = Secret::new(least);
    for pool in &mut decoded.pools {
        if let Some(sticky) = &mut pool.item.sticky
            && sticky.key == StickyKey::Host
        {
            sticky.key = StickyKey::Group(group.clone());
        }
    }
}
