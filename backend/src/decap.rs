//! The backend's end of the tunnel from a switch in another subnet, as programs of the kernel.

/// The object that holds the programs, aligned to eight bytes: `pointsman_decap_xdp` (of the section
/// `xdp`) and `pointsman_decap_tc` (`classifier`). Its source, `backend/bpf/decap.bpf.c`, tells what
/// its maps are and what becomes of which packet; `switch/bpf/build` makes it.
pub static OBJECT: &[u8] = &ALIGNED.0;

/// Objects are read in words.
#[repr(C, align(8))]
struct Aligned<Bytes: ?Sized>(Bytes);

static ALIGNED: &Aligned<[u8]> = &Aligned(*include_bytes!("../bpf/decap.bpf.o"));
