//! What the agent would do, without doing it.

use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};

use super::{Settings, host};
use crate::protocol::ended::Ended;
use crate::protocol::message::{ToAgent, ToSwitch};
use crate::protocol::talk::{self, AgentTalk};
use crate::protocol::wire::Wire;

/// For one switch.
const PATIENCE: Duration = Duration::from_secs(2);

/// What would be done, one thing a line, and what stands in the way.
pub async fn foresee(settings: &Settings) -> (Vec<String>, Vec<String>) {
    let (mut does, mut lacking) = (vec![], vec![]);
    let address = settings.address.map_or_else(
        || "the address that each switch is reached from".to_owned(),
        |address| address.to_string(),
    );
    does.push(format!(
        "register {} at {address}, port {}, for the pool {}",
        settings.name, settings.port, settings.pool
    ));
    for switch in &settings.switches {
        match reach(switch, &settings.secret).await {
            Ok(own) => does.push(format!("connect to {switch}, from {own}")),
            Err(trouble) => lacking.push(format!("{switch} cannot be reached: {trouble}")),
        }
    }
    if let Some(url) = &settings.ready {
        does.push(format!("ask {url} every {:?}", settings.ready_interval));
    }
    if let Some(direct) = &settings.direct {
        let (own, other) = host::foresee(direct);
        does.extend(own);
        lacking.extend(other);
    }
    (does, lacking)
}

/// From which address. Whoever says farewell first registers nothing, and learns whether the switch
/// knows the secret.
async fn reach(switch: &str, secret: &str) -> Result<String, String> {
    let connecting = async {
        let found: Vec<_> = lookup_host(switch).await?.collect();
        let stream = TcpStream::connect(found.as_slice()).await?;
        let own = stream.local_addr()?.ip().to_string();
        let mut wire = Wire::new(stream, AgentTalk::opener(&talk::key(secret))?)?;
        wire.say(&ToSwitch::Farewell).await?;
        match wire.hear().await? {
            ToAgent::Released => Ok::<_, Ended>(own),
            _ => Err(Ended::Protocol("a farewell is not answered")),
        }
    };
    match tokio::time::timeout(PATIENCE, connecting).await {
        Ok(reached) => reached.map_err(|error| error.to_string()),
        Err(_) => Err("no connection in time".to_owned()),
    }
}
