//! This host: its interfaces and addresses, by rtnetlink; the guardian that takes addresses back.
