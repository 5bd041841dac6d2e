//! The transport-layer pump alone, to measure it: `tcp_pump LISTEN BACKEND...`, one worker.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use pointsman::data::l4::proxy::{Early, Limits, forward};
use tokio::net::{TcpListener, TcpStream};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut addresses = std::env::args()
        .skip(1)
        .map(|arg| arg.parse::<SocketAddr>());
    let usage = "usage: tcp_pump LISTEN BACKEND...";
    let listener = TcpListener::bind(addresses.next().ok_or(usage)??).await?;
    let backends = addresses.collect::<Result<Vec<_>, _>>()?;
    let mut turn = backends.iter().cycle();
    loop {
        let (client, _) = listener.accept().await?;
        let backend = *turn.next().ok_or(usage)?;
        tokio::spawn(serve(client, backend));
    }
}

async fn serve(client: TcpStream, backend: SocketAddr) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let upstream = TcpStream::connect(backend).await?;
    upstream.set_nodelay(true)?;
    let limits = Limits {
        idle: Duration::from_secs(60),
    };
    forward(client, upstream, Early::default(), &limits, &()).await;
    Ok(())
}
