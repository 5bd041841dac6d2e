use clap::Args as Group;

use super::Target;

/// `pointsman trace`
#[derive(Debug, Group)]
#[command(
    after_help = "The request is a real one: it goes to a backend, and counts in metrics and log. The \
    switch notes what it\ndoes with this very request, which bears a token that is good once.\n\n\
    Exit code 0: it was traced, whatever its status; 1: the request is not right; 3: no switch answers; \
    4: there is no\nright to it; 5: there was no answer.\n\n\
    Examples:\n  \
    pointsman trace GET http://shop.example.com/v1/x\n  \
    pointsman trace GET https://shop.example.com/ -H \"Cookie: beta=on\"\n  \
    pointsman trace POST http://shop.example.com/orders --data '{}' -H \"Content-Type: application/json\""
)]
pub struct Trace {
    /// The request's method
    pub method: String,
    /// Its URL; it goes to the switch, whatever the host's address is
    pub url: String,
    /// A header field, such as "X-User: 7"; give it once for each
    #[arg(short = 'H', long, value_name = "FIELD")]
    pub header: Vec<String>,
    /// The body
    #[arg(short = 'd', long, value_name = "TEXT")]
    pub data: Option<String>,
    /// The listener that it goes to [default: the one that the URL leads to]
    #[arg(long, value_name = "NAME")]
    pub listener: Option<String>,
    /// Where to connect, such as 10.0.0.5:8080 [default: the listener's first address]
    #[arg(long, value_name = "ADDR")]
    pub connect: Option<String>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// Which switch
    #[command(flatten)]
    pub target: Target,
}
