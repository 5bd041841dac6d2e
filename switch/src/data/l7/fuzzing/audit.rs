//! A reader of RFC 9112 that gives nobody the benefit of the doubt. It shares no code with the
//! parser, so that both would have to be wrong in the same way.

/// How a message's body is framed, read strictly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// No body.
    None,
    /// Content-Length.
    Length(u64),
    /// The chunked coding.
    Chunked,
    /// By the connection's end.
    Close,
}

/// A head as the strict reader sees it.
#[derive(Debug)]
pub struct Head<'a> {
    /// The start line's three parts.
    pub start: [&'a [u8]; 3],
    /// Names in lower case and values.
    pub fields: Vec<(Vec<u8>, &'a [u8])>,
    /// Bytes of the head with its empty line.
    pub length: usize,
    /// Every reason for which it is not plain.
    pub doubts: Vec<String>,
}

impl Head<'_> {
    /// The values of a field (lower-case name).
    pub fn values(&self, name: &str) -> Vec<&[u8]> {
        let named = |(given, _): &&(Vec<u8>, _)| given == name.as_bytes();
        let found = self.fields.iter().filter(named);
        found.map(|(_, value)| *value).collect()
    }

    fn doubt(&mut self, what: impl Into<String>) {
        self.doubts.push(what.into());
    }
}

/// The request at the front of `bytes`; `None` without an empty line.
pub fn request(bytes: &[u8]) -> Option<Head<'_>> {
    let mut head = lines(bytes)?;
    let [method, target, version] = head.start;
    if !is_token(method) {
        head.doubt("method");
    }
    if !matches!(target, [b'/', ..] | b"*") || target.iter().any(|b| !(0x21..0x7f).contains(b)) {
        head.doubt("target is not in origin-form");
    }
    if target.contains(&b'#') {
        head.doubt("fragment in target");
    }
    if version != b"HTTP/1.1" {
        head.doubt("version");
    }
    let hosts = head.values("host").len();
    if hosts != 1 {
        head.doubt(format!("{hosts} Host fields"));
    }
    if !head.values("host").iter().all(|host| is_host(host)) {
        head.doubt("Host");
    }
    framing_doubts(&mut head);
    Some(head)
}

/// The response at the front of `bytes`; `None` without an empty line.
pub fn response(bytes: &[u8]) -> Option<Head<'_>> {
    let mut head = lines(bytes)?;
    let [version, code, _] = head.start;
    if version != b"HTTP/1.1" {
        head.doubt("version");
    }
    if code.len() != 3 || !code.iter().all(u8::is_ascii_digit) || !(b'1'..=b'5').contains(&code[0])
    {
        head.doubt("status code");
    }
    let bodiless = code.first() == Some(&b'1') || code == b"204";
    let coded = !head.values("transfer-encoding").is_empty();
    if bodiless && (coded || !head.values("content-length").is_empty()) {
        head.doubt("a length where there is no body");
    }
    framing_doubts(&mut head);
    Some(head)
}

/// How the body of a plain request is framed.
pub fn request_frame(head: &Head<'_>) -> Frame {
    frame(head, Frame::None)
}

/// How the body of a plain response is framed.
pub fn response_frame(head: &Head<'_>, to_head: bool) -> Frame {
    let code = head.start[1];
    if to_head || code.first() == Some(&b'1') || code == b"204" || code == b"304" {
        return Frame::None;
    }
    frame(head, Frame::Close)
}

fn frame(head: &Head<'_>, without: Frame) -> Frame {
    if !head.values("transfer-encoding").is_empty() {
        return Frame::Chunked;
    }
    match head.values("content-length").first() {
        Some(digits) => match digits.iter().fold(0, |n, d| n * 10 + u64::from(d - b'0')) {
            0 => Frame::None,
            n => Frame::Length(n),
        },
        None => without,
    }
}

/// Content, trailer lines, and bytes of a body in its canonical form.
pub fn body(bytes: &[u8], frame: Frame) -> Result<(Vec<u8>, Vec<u8>, usize), String> {
    match frame {
        Frame::None => Ok((Vec::new(), Vec::new(), 0)),
        Frame::Close => Ok((bytes.to_vec(), Vec::new(), bytes.len())),
        Frame::Length(n) => match usize::try_from(n).ok().and_then(|n| bytes.get(..n)) {
            Some(content) => Ok((content.to_vec(), Vec::new(), content.len())),
            None => Err("shorter than its Content-Length".into()),
        },
        Frame::Chunked => chunks(bytes),
    }
}

fn chunks(bytes: &[u8]) -> Result<(Vec<u8>, Vec<u8>, usize), String> {
    let (mut at, mut content) = (0, Vec::new());
    loop {
        let line = line(&bytes[at..]).ok_or("no size line")?;
        at += line.len() + 2;
        let text = std::str::from_utf8(line).map_err(|_| "size line")?;
        let size = usize::from_str_radix(text, 16).map_err(|_| "size")?;
        if format!("{size:x}") != text {
            return Err(format!("{text:?} is not how a size is written"));
        }
        if size == 0 {
            break;
        }
        let rest = &bytes[at..];
        content.extend(rest.get(..size).ok_or("chunk cut short")?);
        if !rest[size..].starts_with(b"\r\n") {
            return Err("chunk without its CRLF".into());
        }
        at += size + 2;
    }
    let from = at;
    loop {
        let line = line(&bytes[at..]).ok_or("no end of the trailers")?;
        let start = at;
        at += line.len() + 2;
        if line.is_empty() {
            return Ok((content, bytes[from..start].to_vec(), at));
        }
        let (name, value) = field(line).ok_or("trailer")?;
        let framing = [&b"content-length"[..], b"transfer-encoding", b"host"];
        if framing.contains(&&name[..]) || !is_value(value) {
            return Err("trailer that must not be one".into());
        }
    }
}

fn lines(bytes: &[u8]) -> Option<Head<'_>> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let mut rest = &bytes[..end + 2];
    let start = line(rest)?;
    rest = &rest[start.len() + 2..];
    let mut parts = start.splitn(3, |byte| *byte == b' ');
    let mut part = || parts.next().unwrap_or_default();
    let mut head = Head {
        start: [part(), part(), part()],
        fields: Vec::new(),
        length: end + 4,
        doubts: Vec::new(),
    };
    if !is_value(start) {
        head.doubt("control byte in the start line");
    }
    while let Some(text) = line(rest) {
        rest = &rest[text.len() + 2..];
        match field(text) {
            Some((name, value)) if is_value(value) => head.fields.push((name, value)),
            Some(_) => head.doubt("control byte in a value"),
            None => head.doubt(format!("field line {:?}", text.escape_ascii().to_string())),
        }
    }
    Some(head)
}

/// Up to the first CRLF. Bare CR and LF stay in it, and are then found as control bytes.
fn line(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")?;
    Some(&bytes[..end])
}

fn field(line: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    is_token(name).then(|| (name.to_ascii_lowercase(), trimmed(value)))
}

/// Without the white space of RFC 9110 5.6.3, which is narrower than ASCII's.
fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

fn is_token(bytes: &[u8]) -> bool {
    let fits = |b: &u8| b.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(b);
    !bytes.is_empty() && bytes.iter().all(fits)
}

fn is_value(bytes: &[u8]) -> bool {
    !bytes
        .iter()
        .any(|b| *b < b'\t' || (b'\n'..b' ').contains(b) || *b == 0x7f)
}

fn is_host(host: &[u8]) -> bool {
    let odd = |b: &u8| !b.is_ascii_graphic() || b"/\\@?#,\"<>^`{|}".contains(b);
    !host.iter().any(odd)
}

fn framing_doubts(head: &mut Head<'_>) {
    let codings = head.values("transfer-encoding");
    let lengths = head.values("content-length");
    let number = |v: &&[u8]| !v.is_empty() && v.len() <= 18 && v.iter().all(u8::is_ascii_digit);
    let odd_length = lengths.len() > 1 || !lengths.iter().all(number);
    let odd_coding =
        codings.len() > 1 || codings.iter().any(|v| !v.eq_ignore_ascii_case(b"chunked"));
    let both = !codings.is_empty() && !lengths.is_empty();
    for (is_so, what) in [
        (odd_length, "Content-Length"),
        (odd_coding, "Transfer-Encoding"),
        (both, "Content-Length and Transfer-Encoding"),
    ] {
        if is_so {
            head.doubt(what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_doubt_is_found() {
        for (bytes, what) in [
            ("G(T / HTTP/1.1\r\nHost: h\r\n\r\n", "method"),
            ("GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n", "origin-form"),
            ("GET /#f HTTP/1.1\r\nHost: h\r\n\r\n", "fragment"),
            ("GET / HTTP/1.0\r\nHost: h\r\n\r\n", "version"),
            ("GET / x HTTP/1.1\r\nHost: h\r\n\r\n", "version"),
            ("GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", "2 Host"),
            ("GET / HTTP/1.1\r\n\r\n", "0 Host"),
            ("GET / HTTP/1.1\r\nHost: h/x\r\n\r\n", "Host"),
            (
                "GET / HTTP/1.1\r\nHost: h\r\nA: b\nC: d\r\n\r\n",
                "control byte",
            ),
            (
                "GET / HTTP/1.1\r\nHost: h\r\nA: b\rC: d\r\n\r\n",
                "control byte",
            ),
            ("GET / HTTP/1.1\r\nHost: h\r\nA: \0\r\n\r\n", "control byte"),
            ("GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n", "field line"),
            ("GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n", "field line"),
            (
                "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\n",
                "Content-Length",
            ),
            (
                "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: x\r\n\r\n",
                "Transfer",
            ),
        ] {
            let head = request(bytes.as_bytes()).expect("it has an end");
            let found = head.doubts.iter().any(|doubt| doubt.contains(what));
            assert!(found, "{bytes:?}: {:?}", head.doubts);
        }
        let plain = b"POST /a?b HTTP/1.1\r\nHost: h:80\r\nA: \xff\tb\r\nContent-Length: 5\r\n\r\n";
        assert!(request(plain).expect("it has an end").doubts.is_empty());
    }

    #[test]
    fn only_canonical_chunks_are_taken() {
        assert_eq!(
            chunks(b"a\r\n0123456789\r\n0\r\n\r\nX").map(|read| read.2),
            Ok(20)
        );
        for odd in [
            &b"A\r\n0123456789\r\n0\r\n\r\n"[..],
            b"0a\r\n0123456789\r\n0\r\n\r\n",
            b"1;x\r\na\r\n0\r\n\r\n",
            b"1\r\nab\r\n0\r\n\r\n",
            b"0\r\nContent-Length: 1\r\n\r\n",
            b"0\r\n",
        ] {
            assert!(chunks(odd).is_err(), "{}", odd.escape_ascii());
        }
    }
}
