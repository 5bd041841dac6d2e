//! What a process has from the one that started it, and does not want.
#![allow(unsafe_code)]

/// The signals by which terminals and service managers end a process, and those that a switch
/// understands, are ignored from now on. To be called while the process has one thread.
pub fn ignore_signals() {
    let signals = [
        libc::SIGINT,
        libc::SIGTERM,
        libc::SIGHUP,
        libc::SIGQUIT,
        libc::SIGPIPE,
        libc::SIGUSR1,
        libc::SIGUSR2,
    ];
    for signal in signals {
        // SAFETY: SIG_IGN is no handler of ours that could run at a wrong time, and nothing else in
        // the process has asked for these signals.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Closes every descriptor but standard input, output and error. To be called before anything else
/// opens one.
///
/// # Panics
/// Never; but whoever still owned a descriptor would find another one in its place.
pub fn close_inherited() {
    // SAFETY: the caller vouches for it that nobody in this process owns a descriptor yet; no memory
    // is touched. Kernels before 5.9 do not know the call: the descriptors then stay open, which is
    // a waste and not a fault.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
}
