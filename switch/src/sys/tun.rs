//! Network devices that live as long as their descriptor (TUN).
