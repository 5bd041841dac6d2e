//! One agent's session.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use pointsman_backend::protocol::ended::Ended;
use pointsman_backend::protocol::message::{Accepted, Mode, Register, ToAgent, ToSwitch};
use pointsman_backend::protocol::talk::SwitchTalk;
use pointsman_backend::protocol::wire::Wire;
use pointsman_backend::protocol::{HANDSHAKE_LIMIT, KEEPALIVE, SILENCE};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::door::Guest;
use super::refusal::Refusal;
use super::roll::Ticket;
use super::terms::Terms;
use super::{Registrar, Stage};

type OwnWire = Wire<ToAgent, ToSwitch>;

/// From the connection to its end.
pub(super) async fn run(
    registrar: Registrar,
    terms: Arc<Terms>,
    stream: TcpStream,
    mut guest: Guest,
) {
    let from = guest.from;
    let Ok(mut wire) = Wire::new(stream, SwitchTalk::waiter(terms.key())) else {
        return;
    };
    let register = match greeted(&mut wire).await {
        Ok(Some(register)) => register,
        Ok(None) => {
            let _ = wire.say(&ToAgent::Released).await;
            return wire.close().await;
        }
        Err((reason, text)) => return registrar.refused(reason, from, &text),
    };
    let taken = judge(&terms, &register, from, None)
        .and_then(|accepted| Ok((registrar.register(&register, from)?, accepted)));
    let (ticket, accepted) = match taken {
        Ok(taken) => taken,
        Err(refusal) => return refuse(&registrar, wire, from, &register, refusal).await,
    };
    guest.is_known();
    // It may have changed since.
    let mut stage = registrar.0.stage.subscribe();
    stage.mark_changed();
    let session = Session {
        terms: registrar.0.terms.subscribe(),
        stage,
        registrar,
        register,
        ticket,
        from,
        accepted,
    };
    session.go_on(wire).await;
}

/// The registration, which is the first message; `None` for one who only looks whether he could.
async fn greeted(wire: &mut OwnWire) -> Result<Option<Register>, (&'static str, String)> {
    let heard = tokio::time::timeout(HANDSHAKE_LIMIT, wire.hear());
    match heard.await {
        Ok(Ok(ToSwitch::Register(register))) => Ok(Some(register)),
        Ok(Ok(ToSwitch::Farewell)) => Ok(None),
        Ok(Ok(_)) => {
            let what = "the first message is no registration";
            Err(("protocol", Ended::Protocol(what).to_string()))
        }
        Ok(Err(Ended::Unauthentic)) => {
            let text = "it does not know the secret, or has repeated what another one has said";
            Err(("unauthentic", text.to_owned()))
        }
        Ok(Err(ended)) => Err((ended.word(), ended.to_string())),
        Err(_) => Err(("late", "it has not registered in time".to_owned())),
    }
}

/// What holds for this server now, if it may be a member. While there is no way to it, packets come as
/// they did `before`.
fn judge(
    terms: &Terms,
    register: &Register,
    from: IpAddr,
    before: Option<IpAddr>,
) -> Result<Accepted, Refusal> {
    let accepted = terms.judge(register, from)?;
    let answers = register.mode == Mode::Direct && !accepted.services.is_empty();
    let tunnel = || terms.tunnel(register).unwrap_or(before);
    Ok(Accepted {
        tunnel: answers.then(tunnel).flatten(),
        ..accepted
    })
}

async fn refuse(
    registrar: &Registrar,
    mut wire: OwnWire,
    from: IpAddr,
    register: &Register,
    refusal: Refusal,
) {
    let text = format!("{}/{}: {}", register.pool, register.name, refusal.text());
    registrar.refused(refusal.word(), from, &text);
    if wire.say(&ToAgent::Refused(refusal.message())).await.is_ok() {
        wire.close().await;
    }
}

/// A registered agent.
struct Session {
    registrar: Registrar,
    terms: watch::Receiver<Option<Arc<Terms>>>,
    stage: watch::Receiver<Stage>,
    register: Register,
    ticket: Ticket,
    from: IpAddr,
    /// What the agent knows.
    accepted: Accepted,
}

/// How a session ends.
enum End {
    /// The agent has gone.
    Lost(Ended),
    /// It may not stay.
    Refused(Refusal),
    /// It is sent to another process.
    Moved,
}

impl Session {
    async fn go_on(mut self, mut wire: OwnWire) {
        let end = self.talk(&mut wire).await;
        match end {
            Err(End::Lost(ended)) => self.lost(&ended),
            Err(End::Moved) => {
                let _ = wire.say(&ToAgent::Moved).await;
                wire.close().await;
                self.lost(&Ended::Closed);
            }
            Err(End::Refused(refusal)) => {
                self.registrar.dismiss(&self.ticket);
                refuse(&self.registrar, wire, self.from, &self.register, refusal).await;
            }
            Ok(never) => match never {},
        }
    }

    fn lost(&self, ended: &Ended) {
        if !matches!(ended, Ended::Closed | Ended::Silent | Ended::Unreachable(_)) {
            let text = format!("{}/{}: {ended}", self.register.pool, self.register.name);
            self.registrar.refused(ended.word(), self.from, &text);
        }
        let why = ended.to_string();
        self.registrar.lose(&self.ticket, &self.register, &why);
    }

    async fn talk(&mut self, wire: &mut OwnWire) -> Result<std::convert::Infallible, End> {
        say(wire, &ToAgent::Accepted(self.accepted.clone())).await?;
        let mut alive = tokio::time::interval(KEEPALIVE);
        let mut heard_at = Instant::now();
        self.judge(wire).await?;
        loop {
            tokio::select! {
                heard = wire.hear() => {
                    heard_at = Instant::now();
                    self.hear(heard.map_err(End::Lost)?, wire).await?;
                }
                _ = alive.tick() => {
                    if !self.registrar.roll().holds(&self.ticket) {
                        self.judge(wire).await?;
                        return Err(End::Refused(Refusal::Replaced));
                    }
                    say(wire, &ToAgent::Alive).await?;
                    if self.register.mode == Mode::Direct {
                        // Routes may have changed.
                        self.judge(wire).await?;
                    }
                }
                Ok(()) = self.terms.changed() => self.judge(wire).await?,
                Ok(()) = self.stage.changed() => {
                    if *self.stage.borrow() == Stage::Moved {
                        return Err(End::Moved);
                    }
                }
                () = tokio::time::sleep_until((heard_at + SILENCE).into()) => {
                    return Err(End::Lost(Ended::Silent));
                }
            }
        }
    }

    /// The policy has changed, or may have.
    async fn judge(&mut self, wire: &mut OwnWire) -> Result<(), End> {
        let terms = self.terms.borrow_and_update().clone();
        let Some(terms) = terms.filter(|terms| terms.lets_in(self.from)) else {
            return Err(End::Refused(Refusal::Closed));
        };
        let accepted = judge(&terms, &self.register, self.from, self.accepted.tunnel);
        let accepted = accepted.map_err(End::Refused)?;
        if accepted != self.accepted {
            self.accepted = accepted.clone();
            say(wire, &ToAgent::Accepted(accepted)).await?;
        }
        Ok(())
    }

    async fn hear(&mut self, message: ToSwitch, wire: &mut OwnWire) -> Result<(), End> {
        match message {
            ToSwitch::Update(standing) => {
                self.registrar
                    .update(&self.ticket, &self.register, standing);
                Ok(())
            }
            ToSwitch::Farewell => {
                self.registrar.farewell(&self.ticket, &self.register);
                say(wire, &ToAgent::Released).await
            }
            ToSwitch::Register(_) => {
                let what = "a session registers one server";
                Err(End::Lost(Ended::Protocol(what)))
            }
            ToSwitch::Alive | ToSwitch::Unknown => Ok(()),
        }
    }
}

async fn say(wire: &mut OwnWire, message: &ToAgent) -> Result<(), End> {
    wire.say(message).await.map_err(End::Lost)
}
