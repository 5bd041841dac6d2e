use super::{Format, Key, Kind, Section};

/// `[listener.NAME.tls]`
pub static TLS: Section = Section {
    name: "tls",
    doc: "Files in PEM format; relative paths start at the folder of the policy file.",
    keys: &[
        Key::new(
            "cert",
            Kind::OneOrMany(&Kind::Text(Format::File)),
            "The certificate chain, the server's own certificate first; or several, each for the host \
             names in it. Clients that name another host, or none, get the first.",
            "\"shop.pem\"",
        ),
        Key::new(
            "key",
            Kind::OneOrMany(&Kind::Text(Format::File)),
            "The private key; as many as there are in `cert`, in the same order.",
            "\"shop.key\"",
        ),
        Key::new(
            "folder",
            Kind::Text(Format::Free),
            "A folder of more certificates: each `NAME.pem` or `NAME.crt` with its key in `NAME.key`, or \
             in the same file. Without `cert`, the first of them by name stands for hosts that no \
             certificate has.",
            "\"/etc/pointsman/certificates\"",
        ),
        Key::new(
            "clients",
            Kind::Table(&TLS_CLIENTS),
            "Asks clients for certificates. Backends get a client's in `Client-Cert` (RFC 9440), which \
             clients themselves cannot send.",
            "{ ca = \"staff-ca.pem\" }",
        ),
    ],
};

static TLS_CLIENTS: Section = Section {
    name: "clients",
    doc: "Certificates of clients.",
    keys: &[
        Key::new(
            "ca",
            Kind::Text(Format::File),
            "The certificates of the authorities whose clients are let in.",
            "\"staff-ca.pem\"",
        )
        .required(),
        Key::new(
            "crl",
            Kind::OneOrMany(&Kind::Text(Format::File)),
            "Lists of revoked certificates (RFC 5280 5).",
            "\"staff.crl.pem\"",
        ),
        Key::new(
            "optional",
            Kind::Bool,
            "Clients without a certificate are served, too, and backends see that they have none. One \
             that is not valid is refused all the same.",
            "true",
        )
        .default("false"),
    ],
};

/// `[pool.NAME.tls]`
pub static POOL_TLS: Section = Section {
    name: "tls",
    doc: "TLS with backends. Files in PEM format; relative paths start at the folder of the policy file.",
    keys: &[
        Key::new(
            "ca",
            Kind::Text(Format::File),
            "The certificates of the authorities that backends' certificates are from. Without it, those \
             that the system trusts.",
            "\"internal-ca.pem\"",
        ),
        Key::new(
            "name",
            Kind::Text(Format::Free),
            "The host that backends are asked for (SNI) and that their certificates must be for. Without \
             it, each backend's own name or address, as it is written.",
            "\"app.internal\"",
        ),
        Key::new(
            "verify",
            Kind::Bool,
            "Whether certificates are verified. Without it, anyone on the way can read and change \
             everything.",
            "false",
        )
        .default("true"),
        Key::new(
            "cert",
            Kind::Text(Format::File),
            "The certificate that backends are shown which ask for one.",
            "\"switch.pem\"",
        ),
        Key::new(
            "key",
            Kind::Text(Format::File),
            "Its private key.",
            "\"switch.key\"",
        ),
    ],
};
