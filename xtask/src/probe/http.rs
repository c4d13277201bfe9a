//! HTTP/1.1, as far as a health probe needs it: one `GET`, and one answer of known bounds. Source: RFC 9112.
//!
//! One deadline holds for the whole exchange, whatever the other side does. There is no TLS, no proxy,
//! no redirect, no compression and no connection that is used twice.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::net;

/// More than any health endpoint has to say.
const MAX_BODY: usize = 64 * 1024;
/// All lines that are no content: the head, those of interim answers too, and sizes of chunks.
const MAX_LINES: usize = 16 * 1024;
/// What may stand in a request's target as it is. `%` may: what is encoded stays so.
const TARGET: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>');

/// What a server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The status code, 200 to 599.
    pub(super) status: u16,
    /// The content.
    pub(super) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Error {
    /// No connection, or it broke.
    Io(io::Error),
    /// The content is larger than [`MAX_BODY`].
    TooLarge,
    /// It is no HTTP, or none that we speak: why.
    Protocol(&'static str),
}

/// Asks for `path` and reads the answer. `host` is a name or an address, of IPv6 without brackets.
pub(super) fn get(host: &str, port: u16, path: &str, deadline: Instant) -> Result<Answer, Error> {
    let mut stream = net::connect(host, port, deadline).map_err(Error::Io)?;
    send(&mut stream, request(host, port, path).as_bytes(), deadline).map_err(Error::Io)?;
    let mut reader = Reader::default();
    let mut buffer = [0; 4096];
    loop {
        let n = receive(&mut stream, &mut buffer, deadline).map_err(Error::Io)?;
        let done = match buffer.get(..n) {
            Some(bytes) if n > 0 => reader.feed(bytes)?,
            _ => return reader.end(),
        };
        if let Some(answer) = done {
            return Ok(answer);
        }
    }
}

fn request(host: &str, port: u16, path: &str) -> String {
    let path = utf8_percent_encode(path, TARGET);
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: xtask\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    )
}

fn send(stream: &mut TcpStream, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(net::left(deadline)?))?;
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn receive(stream: &mut TcpStream, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
    loop {
        stream.set_read_timeout(Some(net::left(deadline)?))?;
        match stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Reads one answer, in pieces of any size.
#[derive(Debug, Default)]
struct Reader {
    /// The line that is being read, without its end.
    line: Vec<u8>,
    /// Bytes of all lines so far.
    lines: usize,
    state: State,
    status: u16,
    length: Option<usize>,
    chunked: bool,
    body: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    StatusLine,
    Header,
    /// So many bytes are left.
    Sized(usize),
    /// Until the connection ends.
    UntilEnd,
    ChunkSize,
    /// So many bytes are left of this chunk.
    Chunk(usize),
    ChunkEnd,
    Done,
}

impl Reader {
    /// Takes what has come; the answer, once it is whole.
    fn feed(&mut self, mut bytes: &[u8]) -> Result<Option<Answer>, Error> {
        while !bytes.is_empty() && self.state != State::Done {
            bytes = match self.state {
                State::Sized(left) | State::Chunk(left) => {
                    let (content, rest) = bytes.split_at(left.min(bytes.len()));
                    self.take(content)?;
                    let left = left - content.len();
                    self.state = match self.state {
                        State::Sized(_) if left == 0 => State::Done,
                        State::Sized(_) => State::Sized(left),
                        _ if left == 0 => State::ChunkEnd,
                        _ => State::Chunk(left),
                    };
                    rest
                }
                State::UntilEnd => {
                    self.take(bytes)?;
                    &[]
                }
                _ => self.lines(bytes)?,
            };
        }
        Ok((self.state == State::Done).then(|| self.answer()))
    }

    /// The connection has ended.
    fn end(&mut self) -> Result<Answer, Error> {
        match self.state {
            State::UntilEnd | State::Done => Ok(self.answer()),
            State::StatusLine if self.lines == 0 => {
                Err(Error::Io(io::ErrorKind::UnexpectedEof.into()))
            }
            _ => Err(Error::Protocol("the answer ends in the middle")),
        }
    }

    fn answer(&mut self) -> Answer {
        Answer {
            status: self.status,
            body: std::mem::take(&mut self.body),
        }
    }

    fn take(&mut self, content: &[u8]) -> Result<(), Error> {
        if self.body.len() + content.len() > MAX_BODY {
            return Err(Error::TooLarge);
        }
        self.body.extend_from_slice(content);
        Ok(())
    }

    /// Takes one line, or the beginning of one. A line ends with LF, before which CR is no part of it.
    fn lines<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Error> {
        let end = bytes.iter().position(|&byte| byte == b'\n');
        let (line, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
        self.lines += line.len();
        match self.state {
            // Chunks of a byte each are five bytes of lines each: the body's own limit is nearer.
            State::ChunkSize | State::ChunkEnd if self.lines > MAX_LINES + 5 * MAX_BODY => {
                return Err(Error::TooLarge);
            }
            State::StatusLine | State::Header if self.lines > MAX_LINES => {
                return Err(Error::Protocol("its headers do not end"));
            }
            _ => {}
        }
        self.line.extend_from_slice(line);
        // No need to wait for the end of what cannot become HTTP.
        let known = self.line.len().min(HTTP.len());
        if self.state == State::StatusLine && self.line.get(..known) != HTTP.get(..known) {
            return Err(Error::Protocol("what it says is no HTTP"));
        }
        if end.is_some() {
            let line = std::mem::take(&mut self.line);
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            self.line(line.strip_suffix(b"\r").unwrap_or(line))?;
        }
        Ok(rest)
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Error> {
        self.state = match self.state {
            State::StatusLine => {
                self.status = status(line)?;
                State::Header
            }
            State::Header if line.is_empty() => self.after_head()?,
            State::Header => {
                self.header(line)?;
                State::Header
            }
            State::ChunkSize => match chunk_size(line)? {
                // What may follow the last chunk are headers, which nobody here wants.
                0 => State::Done,
                size if size > MAX_BODY - self.body.len() => return Err(Error::TooLarge),
                size => State::Chunk(size),
            },
            State::ChunkEnd if line.is_empty() => State::ChunkSize,
            State::ChunkEnd => return Err(Error::Protocol("a chunk is longer than it says")),
            other => other,
        };
        Ok(())
    }

    fn header(&mut self, line: &[u8]) -> Result<(), Error> {
        let malformed = Error::Protocol("a header makes no sense");
        let Some(colon) = line.iter().position(|&byte| byte == b':') else {
            return Err(malformed);
        };
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
        if name.is_empty() || !name.iter().all(|&byte| is_token(byte)) {
            return Err(malformed);
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = decimal(value).ok_or(Error::Protocol("its length is no number"))?;
            if self.length.replace(length).is_some_and(|it| it != length) {
                return Err(Error::Protocol("it says two lengths"));
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Error::Protocol("its encoding is none that was asked for"));
            }
            self.chunked = true;
        }
        Ok(())
    }

    fn after_head(&mut self) -> Result<State, Error> {
        let (length, chunked) = (self.length.take(), std::mem::take(&mut self.chunked));
        Ok(match (self.status, length) {
            (101, _) => return Err(Error::Protocol("it speaks another protocol")),
            (100..=199, _) => State::StatusLine,
            (204 | 304, _) => State::Done,
            _ if chunked => State::ChunkSize,
            (_, Some(0)) => State::Done,
            (_, Some(length)) if length > MAX_BODY => return Err(Error::TooLarge),
            (_, Some(length)) => State::Sized(length),
            (_, None) => State::UntilEnd,
        })
    }
}

const HTTP: &[u8] = b"HTTP/1.";

/// `HTTP/1.1 200 OK`; the reason may be missing.
fn status(line: &[u8]) -> Result<u16, Error> {
    let rest = line
        .strip_prefix(HTTP)
        .ok_or(Error::Protocol("what it says is no HTTP"))?;
    let (code, reason) = match rest {
        [b'0'..=b'9', b' ', code @ ..] => code.split_at(code.len().min(3)),
        _ => (&[][..], &[][..]),
    };
    match decimal(code).and_then(|code| u16::try_from(code).ok()) {
        Some(code @ 100..=599) if matches!(reason, [] | [b' ', ..]) => Ok(code),
        _ => Err(Error::Protocol("its status makes no sense")),
    }
}

/// The size of a chunk, in hexadecimal; extensions are ignored.
fn chunk_size(line: &[u8]) -> Result<usize, Error> {
    let digits = line.split(|&byte| byte == b';').next().unwrap_or_default();
    let text = std::str::from_utf8(digits.trim_ascii_end()).unwrap_or_default();
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !plain {
        return Err(Error::Protocol("the size of a chunk is no number"));
    }
    // Too many digits for a number are too many bytes for us.
    Ok(usize::from_str_radix(text, 16).unwrap_or(usize::MAX))
}

fn decimal(digits: &[u8]) -> Option<usize> {
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok()?;
    plain.then(|| text.parse().unwrap_or(usize::MAX))
}

/// Whether a byte may stand in a header's name.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds pieces that end at `cuts`, then the end of the connection; how it ended, in words.
    fn read(bytes: &[u8], cuts: &[usize]) -> Result<(u16, String), String> {
        let mut reader = Reader::default();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let mut outcome = Ok(None);
        for pair in cuts.windows(2) {
            outcome = reader.feed(&bytes[pair[0]..pair[1]]);
            if !matches!(outcome, Ok(None)) {
                break;
            }
        }
        let outcome = match outcome {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => reader.end(),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(it) => Ok((it.status, String::from_utf8_lossy(&it.body).into_owned())),
            Err(Error::Io(error)) => Err(error.kind().to_string()),
            Err(Error::TooLarge) => Err("too large".to_owned()),
            Err(Error::Protocol(why)) => Err(why.to_owned()),
        }
    }

    #[test]
    fn answers_of_every_framing() {
        for (answer, status, body) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokMORE",
                200,
                "ok",
            ),
            (
                "HTTP/1.1 200\r\ncontent-length:2\r\nContent-Length: 2\r\n\r\nok",
                200,
                "ok",
            ),
            (
                "HTTP/1.0 503 Not now\r\n\r\nuntil the end",
                503,
                "until the end",
            ),
            ("HTTP/1.1 200 OK\nContent-Length: 0\n\n", 200, ""),
            ("HTTP/1.1 204 \r\nContent-Length: 9\r\n\r\n", 204, ""),
            ("HTTP/1.1 304 x\r\n\r\n", 304, ""),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2;a=b\r\nok\r\nA \r\n0123456789\r\n0\r\nX: y\r\n\r\n",
                200,
                "ok0123456789",
            ),
            // Both: the encoding counts.
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
                200,
                "ok",
            ),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nContent-Length: 7\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                200,
                "ok",
            ),
        ] {
            assert_eq!(
                read(answer.as_bytes(), &[]),
                Ok((status, body.to_owned())),
                "{answer}"
            );
        }
    }

    #[test]
    fn what_is_no_answer_is_named() {
        let head = "HTTP/1.1 200 OK\r\n";
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (start, rest, why) in [
            ("", "", "unexpected end of file"),
            ("", "SSH-2.0-OpenSSH", "what it says is no HTTP"),
            ("", "HTTP/2 200 OK\r\n\r\n", "what it says is no HTTP"),
            ("", "\r\nHTTP/1.1 200 OK\r\n\r\n", "what it says is no HTTP"),
            ("", "HTTP/1.1 2000 OK\r\n\r\n", "its status makes no sense"),
            ("", "HTTP/1.1 999 OK\r\n\r\n", "its status makes no sense"),
            ("", "HTTP/1.1  200 OK\r\n\r\n", "its status makes no sense"),
            ("", "HTTP/1.1 200", "the answer ends in the middle"),
            ("", "HTTP/1.1 101 Up\r\n\r\n", "it speaks another protocol"),
            (
                head,
                "Content-Length: 3\r\n\r\nok",
                "the answer ends in the middle",
            ),
            (head, "no colon\r\n\r\n", "a header makes no sense"),
            (head, "na me: x\r\n\r\n", "a header makes no sense"),
            (head, " folded: x\r\n\r\n", "a header makes no sense"),
            (
                head,
                "Content-Length: -1\r\n\r\n",
                "its length is no number",
            ),
            (
                head,
                "Content-Length: +1\r\n\r\n",
                "its length is no number",
            ),
            (
                head,
                "Content-Length: 1\r\nContent-Length: 2\r\n\r\nok",
                "it says two lengths",
            ),
            (
                head,
                "Transfer-Encoding: gzip\r\n\r\n",
                "its encoding is none that was asked for",
            ),
            (head, "Content-Length: 65537\r\n\r\n", "too large"),
            (
                head,
                "Content-Length: 99999999999999999999999\r\n\r\n",
                "too large",
            ),
            (chunked, "x\r\n", "the size of a chunk is no number"),
            (chunked, "+2\r\nok\r\n", "the size of a chunk is no number"),
            (chunked, "2\r\nokay\r\n", "a chunk is longer than it says"),
            (chunked, "10001\r\n", "too large"),
            (chunked, "fffffffffffffffffff\r\n", "too large"),
            (chunked, "2\r\nok\r\n", "the answer ends in the middle"),
        ] {
            let answer = format!("{start}{rest}");
            assert_eq!(
                read(answer.as_bytes(), &[]),
                Err(why.to_owned()),
                "{answer}"
            );
        }
    }

    #[test]
    fn what_does_not_end_is_bounded() {
        let mut endless = b"HTTP/1.1 200 OK\r\n".to_vec();
        endless.extend(b"A: b\r\n".repeat(MAX_LINES));
        assert_eq!(
            read(&endless, &[]),
            Err("its headers do not end".to_owned())
        );
        let interim = b"HTTP/1.1 100 x\r\n\r\n".repeat(MAX_LINES);
        assert_eq!(
            read(&interim, &[]),
            Err("its headers do not end".to_owned())
        );
        let mut line = b"HTTP/1.1 200 ".to_vec();
        line.extend([b'x'; MAX_LINES]);
        assert_eq!(read(&line, &[]), Err("its headers do not end".to_owned()));
        let mut body = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        body.extend([b'x'; MAX_BODY]);
        assert_eq!(read(&body, &[]).map(|it| it.1.len()), Ok(MAX_BODY));
        body.push(b'x');
        assert_eq!(read(&body, &[]), Err("too large".to_owned()));
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let bytes = [&chunked[..], &b"1\r\nx\r\n".repeat(MAX_BODY), b"0\r\n"].concat();
        assert_eq!(read(&bytes, &[]).map(|it| it.1.len()), Ok(MAX_BODY));
        let endless = [&chunked[..], &b"0".repeat(MAX_LINES + 6 * MAX_BODY)].concat();
        assert_eq!(read(&endless, &[]), Err("too large".to_owned()));
        let mut chunks = chunked.to_vec();
        chunks.extend(b"1000\r\n");
        let chunk = [&[b'x'; 0x1000][..], b"\r\n1000\r\n"].concat();
        chunks.extend(chunk.repeat(16));
        assert_eq!(read(&chunks, &[]), Err("too large".to_owned()));
    }

    #[test]
    fn a_path_cannot_add_a_header() {
        let text = request("::1", 80, "/a b\r\nX: y?q=%20é");
        assert_eq!(
            text.lines().next(),
            Some("GET /a%20b%0D%0AX:%20y?q=%20%C3%A9 HTTP/1.1")
        );
        assert!(text.contains("\r\nHost: [::1]:80\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\n"));
    }

    /// Like a server: an answer, and how it is sent.
    fn answer() -> impl Strategy<Value = (u16, Vec<u8>, Vec<u8>)> {
        let body = prop::collection::vec(any::<u8>(), 0..300);
        (200..204_u16, body, 0..3_u8, 1..40_usize).prop_map(|(status, body, framing, size)| {
            let mut bytes = format!("HTTP/1.1 {status} Fine\r\nServer: x\r\n").into_bytes();
            match framing {
                0 => {
                    bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
                    bytes.extend(&body);
                }
                1 => {
                    bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
                    for chunk in body.chunks(size) {
                        bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
                        bytes.extend(chunk);
                        bytes.extend(b"\r\n");
                    }
                    bytes.extend(b"0\r\n\r\n");
                }
                _ => {
                    bytes.extend(b"Connection: close\r\n\r\n");
                    bytes.extend(&body);
                }
            }
            (status, body, bytes)
        })
    }

    proptest! {
        #[test]
        fn an_answer_is_the_same_in_any_pieces(
            (status, body, bytes) in answer(),
            cuts in prop::collection::vec(any::<usize>(), 0..20),
        ) {
            let body = String::from_utf8_lossy(&body).into_owned();
            prop_assert_eq!(read(&bytes, &cuts), Ok((status, body)));
        }

        #[test]
        fn anything_ends_the_same_in_any_pieces(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..200),
                "(HTTP/1\\.1 [0-9]{3}[ -~]{0,3}\r?\n)?([A-Za-z-]{1,3}: ?[0-9a-z]{0,3}\r?\n|Content-Length: [0-9]{0,6}\r\n|Transfer-Encoding: chunked\r\n){0,3}(\r\n)?[0-9a-f\r\n;]{0,30}"
                    .prop_map(String::into_bytes),
            ],
            cuts in prop::collection::vec(any::<usize>(), 0..20),
        ) {
            prop_assert_eq!(read(&bytes, &cuts), read(&bytes, &[]));
        }

        #[test]
        fn an_answer_that_is_cut_off_is_never_taken_for_whole((status, body, bytes) in answer(), cut in any::<usize>()) {
            let end = cut % bytes.len();
            let head_ends = bytes.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
            // Without a length, nobody can know.
            let unsized_body = bytes.windows(5).any(|it| it == b"close") && end >= head_ends;
            // The last chunk is the end, whatever follows it.
            let ended = bytes.ends_with(b"0\r\n\r\n") && end >= bytes.len() - 2;
            if !unsized_body && !ended {
                let read = read(&bytes[..end], &[]);
                prop_assert!(read.is_err(), "{:?} of {} and {:?}", read, status, body);
            }
        }
    }
}
