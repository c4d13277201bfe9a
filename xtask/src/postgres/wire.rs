//! PostgreSQL's protocol 3.0, as far as a probe needs it: log in, run simple queries, and say why
//! not. Source: "Frontend/Backend Protocol" in PostgreSQL's documentation.
//!
//! One deadline holds for the whole conversation, whatever the other side does.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::scram::{Refusal, Scram};
use super::url::DbUrl;
use crate::mask::Secrets;
use crate::probe::net;

/// The largest message that we take: our questions have short answers.
const MAX_MESSAGE: usize = 1 << 20;
/// The most messages of one answer.
const MAX_MESSAGES: usize = 100_000;
/// The largest answer, in bytes of all its rows: what is kept of it until its end.
const MAX_ANSWER: usize = 16 << 20;

/// Why a conversation ended.
#[derive(Debug)]
pub(super) enum WireError {
    /// Nothing listens.
    Refused,
    /// The deadline passed.
    TimedOut,
    /// The server said no: SQLSTATE and message.
    Server { code: String, message: String },
    /// What answers makes no sense, or the connection broke.
    Protocol(String),
}

/// A connection on which queries run.
pub(super) struct Connection {
    stream: Stream,
    /// What the server's words must not show, should it repeat what it was told.
    secrets: Secrets,
}

impl Connection {
    /// Connects and logs in.
    pub(super) fn open(url: &DbUrl, timeout: Duration) -> Result<Connection, WireError> {
        if matches!(
            url.parameter("sslmode"),
            Some("require" | "verify-ca" | "verify-full")
        ) {
            return Err(WireError::Protocol(
                "the URL asks for TLS, which this probe does not speak".to_owned(),
            ));
        }
        let stream = Stream::connect(url, Instant::now() + timeout)?;
        let mut connection = Connection {
            stream,
            secrets: secrets(url),
        };
        connection.start(url)?;
        Ok(connection)
    }

    /// As [`Connection::open`], with a server that says just this, then closes.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn scripted(
        url: &DbUrl,
        answers: Vec<u8>,
        timeout: Duration,
    ) -> Result<Connection, WireError> {
        let mut connection = Connection {
            stream: Stream::new(
                Socket::Script(io::Cursor::new(answers)),
                Instant::now() + timeout,
            ),
            secrets: secrets(url),
        };
        connection.start(url)?;
        Ok(connection)
    }

    fn start(&mut self, url: &DbUrl) -> Result<(), WireError> {
        let mut body = vec![0, 3, 0, 0];
        for text in [
            "user",
            &url.user,
            "database",
            &url.database,
            "application_name",
            "xtask",
            "",
        ] {
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
        self.stream.send(None, &body)?;
        let mut login = Login::Asked;
        for _ in 0..MAX_MESSAGES {
            let (kind, body) = self.stream.receive()?;
            match kind {
                b'R' => login = self.authenticate(url, &body, login)?,
                b'Z' if matches!(login, Login::Done) && is_ready(&body) => return Ok(()),
                b'E' => return Err(server_error(&body, &self.secrets)),
                // Parameters, the cancel key, notices, a protocol that is too new for the server.
                b'S' | b'K' | b'N' | b'v' => {}
                other => return Err(unexpected(other)),
            }
        }
        Err(WireError::Protocol("it never stops greeting".to_owned()))
    }

    /// Takes the login a step further.
    fn authenticate(&mut self, url: &DbUrl, body: &[u8], login: Login) -> Result<Login, WireError> {
        let garbage = || WireError::Protocol("its login makes no sense".to_owned());
        let stranger = || WireError::Protocol("it does not know the password itself".to_owned());
        let (method, data) = body.split_first_chunk::<4>().ok_or_else(garbage)?;
        match (u32::from_be_bytes(*method), login) {
            // A server that has begun to prove itself has to end it.
            (0, Login::Scram(_)) => Err(stranger()),
            (0, _) if data.is_empty() => Ok(Login::Done),
            (3, Login::Asked) => {
                self.send_password(&url.password)?;
                Ok(Login::Asked)
            }
            (5, Login::Asked) => {
                let salt = data.get(..4).ok_or_else(garbage)?;
                self.send_password(&md5_password(&url.user, &url.password, salt))?;
                Ok(Login::Asked)
            }
            (10, Login::Asked) => {
                let offered = data
                    .split(|byte| *byte == 0)
                    .any(|name| name == b"SCRAM-SHA-256");
                if !offered {
                    return Err(WireError::Protocol(
                        "it offers no login that we know".to_owned(),
                    ));
                }
                let exchange = Scram::new(&url.password, nonce()?);
                let first = exchange.first();
                let mut answer = b"SCRAM-SHA-256\0".to_vec();
                answer.extend_from_slice(&u32::try_from(first.len()).unwrap_or(0).to_be_bytes());
                answer.extend_from_slice(first.as_bytes());
                self.stream.send(Some(b'p'), &answer)?;
                Ok(Login::Scram(exchange))
            }
            (11, Login::Scram(mut exchange)) => {
                let challenge = std::str::from_utf8(data).map_err(|_| garbage())?;
                let deadline = self.stream.deadline();
                let answer =
                    exchange
                        .answer(challenge, deadline)
                        .map_err(|refusal| match refusal {
                            Refusal::Nonsense => garbage(),
                            Refusal::TooLate => WireError::TimedOut,
                        })?;
                self.stream.send(Some(b'p'), answer.as_bytes())?;
                Ok(Login::Scram(exchange))
            }
            (12, Login::Scram(exchange)) => {
                let last = std::str::from_utf8(data).map_err(|_| garbage())?;
                if exchange.verify(last) {
                    Ok(Login::Asked)
                } else {
                    Err(stranger())
                }
            }
            (0 | 3 | 5 | 10 | 11 | 12, _) => Err(garbage()),
            (other, _) => Err(WireError::Protocol(format!(
                "it asks for login method {other}, which this probe does not speak"
            ))),
        }
    }

    fn send_password(&mut self, password: &str) -> Result<(), WireError> {
        let mut body = password.as_bytes().to_vec();
        body.push(0);
        self.stream.send(Some(b'p'), &body)
    }

    /// Runs a query: its rows, each column as text.
    pub(super) fn query(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>, WireError> {
        let mut body = sql.as_bytes().to_vec();
        body.push(0);
        self.stream.send(Some(b'Q'), &body)?;
        let mut rows = Vec::new();
        let mut size = 0;
        let mut failure = None;
        for _ in 0..MAX_MESSAGES {
            let (kind, body) = self.stream.receive()?;
            match kind {
                b'D' => {
                    size += body.len();
                    if size > MAX_ANSWER {
                        break;
                    }
                    rows.push(data_row(&body).ok_or_else(|| unexpected(b'D'))?);
                }
                b'E' => failure = Some(server_error(&body, &self.secrets)),
                b'Z' if is_ready(&body) => return failure.map_or(Ok(rows), Err),
                b'T' | b'C' | b'N' | b'S' | b'I' => {}
                other => return Err(unexpected(other)),
            }
        }
        Err(WireError::Protocol("its answer never ends".to_owned()))
    }
}

/// How far the login is.
enum Login {
    /// The server has been told who we are, or has proved who it is.
    Asked,
    /// It is proving that it knows the password.
    Scram(Scram),
    /// We are let in.
    Done,
}

/// Whether a ReadyForQuery is one: it has a byte for the transaction's state.
fn is_ready(body: &[u8]) -> bool {
    matches!(body, [b'I' | b'T' | b'E'])
}

/// The columns of a DataRow.
pub(crate) fn data_row(body: &[u8]) -> Option<Vec<Option<String>>> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut columns = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<4>()?;
        match usize::try_from(i32::from_be_bytes(*length)) {
            Ok(length) => {
                columns.push(Some(
                    String::from_utf8_lossy(after.get(..length)?).into_owned(),
                ));
                rest = after.get(length..)?;
            }
            Err(_) => {
                columns.push(None);
                rest = after;
            }
        }
    }
    Some(columns)
}

/// The password, as a URL has it.
fn secrets(url: &DbUrl) -> Secrets {
    Secrets::of([("password", url.password.as_str())])
}

/// SQLSTATE and message of an ErrorResponse.
fn server_error(body: &[u8], secrets: &Secrets) -> WireError {
    let field = |wanted: u8| {
        body.split(|byte| *byte == 0)
            .find_map(|field| field.strip_prefix(&[wanted]))
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .unwrap_or_default()
    };
    WireError::Server {
        code: secrets.mask(&field(b'C')),
        message: secrets.mask(&field(b'M')),
    }
}

fn unexpected(kind: u8) -> WireError {
    WireError::Protocol(format!(
        "it does not speak PostgreSQL (message {kind:#04x})"
    ))
}

/// `md5` + md5(md5(password + user) + salt), in hex.
fn md5_password(user: &str, password: &str, salt: &[u8]) -> String {
    let inner = format!("{:x}", md5::compute(format!("{password}{user}")));
    let outer = md5::compute([inner.as_bytes(), salt].concat());
    format!("md5{outer:x}")
}

fn nonce() -> Result<String, WireError> {
    let mut bytes = [0_u8; 18];
    getrandom::fill(&mut bytes).map_err(|error| WireError::Protocol(error.to_string()))?;
    use base64::Engine as _;
    Ok(base64::engine::general_purpose::STANDARD.encode(bytes))
}

/// What is said on a socket, with one deadline for all of it.
struct Stream {
    /// Buffered: a greeting is twenty messages, each with a head and a body.
    reader: BufReader<Timed>,
}

/// A socket each of whose calls ends by the deadline.
struct Timed {
    socket: Socket,
    deadline: Instant,
}

impl Timed {
    /// The time that is left becomes the socket's own timeout before each call.
    fn arm(&self) -> io::Result<()> {
        self.socket.set_timeout(net::left(self.deadline)?)
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.arm()?;
        self.socket.read(buffer)
    }
}

enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixStream),
    /// A server of which all answers are known before it is asked.
    #[cfg(any(test, feature = "fuzzing"))]
    Script(io::Cursor<Vec<u8>>),
}

impl Socket {
    fn set_timeout(&self, left: Duration) -> io::Result<()> {
        let left = Some(left);
        match self {
            Socket::Tcp(socket) => socket
                .set_read_timeout(left)
                .and_then(|()| socket.set_write_timeout(left)),
            #[cfg(unix)]
            Socket::Unix(socket) => socket
                .set_read_timeout(left)
                .and_then(|()| socket.set_write_timeout(left)),
            #[cfg(any(test, feature = "fuzzing"))]
            Socket::Script(_) => Ok(()),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(socket) => socket.read(buffer),
            #[cfg(unix)]
            Socket::Unix(socket) => socket.read(buffer),
            #[cfg(any(test, feature = "fuzzing"))]
            Socket::Script(answers) => answers.read(buffer),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Socket::Tcp(socket) => socket.write_all(bytes),
            #[cfg(unix)]
            Socket::Unix(socket) => socket.write_all(bytes),
            #[cfg(any(test, feature = "fuzzing"))]
            Socket::Script(_) => Ok(()),
        }
    }
}

impl Stream {
    fn new(socket: Socket, deadline: Instant) -> Stream {
        Stream {
            reader: BufReader::new(Timed { socket, deadline }),
        }
    }

    fn connect(url: &DbUrl, deadline: Instant) -> Result<Stream, WireError> {
        #[cfg(unix)]
        if url.is_socket() {
            let path = std::path::Path::new(&url.host).join(format!(".s.PGSQL.{}", url.port));
            // It waits while the server has more connections to take than fit its queue.
            let socket = net::within(deadline, || std::os::unix::net::UnixStream::connect(path))
                .map_err(wire_error)?;
            return Ok(Stream::new(Socket::Unix(socket), deadline));
        }
        let socket =
            net::connect(&url.host, url.port, deadline).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => WireError::Protocol(format!("`{}`: {error}", url.host)),
                _ => wire_error(error),
            })?;
        let _ = socket.set_nodelay(true);
        Ok(Stream::new(Socket::Tcp(socket), deadline))
    }

    fn deadline(&self) -> Instant {
        self.reader.get_ref().deadline
    }

    fn send(&mut self, kind: Option<u8>, body: &[u8]) -> Result<(), WireError> {
        let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
        let mut message: Vec<u8> = kind.into_iter().collect();
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(body);
        let timed = self.reader.get_mut();
        timed
            .arm()
            .and_then(|()| timed.socket.write_all(&message))
            .map_err(wire_error)
    }

    fn receive(&mut self) -> Result<(u8, Vec<u8>), WireError> {
        let mut head = [0_u8; 5];
        self.reader.read_exact(&mut head).map_err(wire_error)?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if !(4..=MAX_MESSAGE).contains(&length) {
            return Err(unexpected(head[0]));
        }
        let mut body = vec![0; length - 4];
        self.reader.read_exact(&mut body).map_err(wire_error)?;
        Ok((head[0], body))
    }
}

fn wire_error(error: io::Error) -> WireError {
    match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => WireError::Refused,
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => WireError::TimedOut,
        // A server that goes while we have not read all, or while we write.
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => WireError::Protocol("it closed the connection".to_owned()),
        _ => WireError::Protocol(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_by_their_fields() {
        let body = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0";
        let WireError::Server { code, message } = server_error(body, &Secrets::default()) else {
            panic!()
        };
        assert_eq!(
            (code.as_str(), message.as_str()),
            ("57P03", "the database system is starting up")
        );
    }

    /// The error of a server that says just this; `None` when it lets us in.
    fn refusal(messages: &[(u8, &[u8])]) -> Option<String> {
        let mut said = Vec::new();
        for (kind, body) in messages {
            said.push(*kind);
            said.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
            said.extend_from_slice(body);
        }
        let url = DbUrl::parse("postgresql://u:hunter2@127.0.0.1:1/d").unwrap();
        match Connection::scripted(&url, said, Duration::from_secs(60)) {
            Ok(_) => None,
            Err(WireError::Protocol(why)) => Some(why),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn nobody_is_let_in_without_a_login_that_is_one() {
        let in_: (u8, &[u8]) = (b'R', &[0, 0, 0, 0]);
        let ready: (u8, &[u8]) = (b'Z', b"I");
        let scram: (u8, &[u8]) = (b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0");
        assert_eq!(refusal(&[in_, ready]), None);
        for (words, messages) in [
            ("does not speak PostgreSQL", &[ready][..]),
            ("does not speak PostgreSQL", &[in_, (b'Z', b"IE")]),
            ("does not speak PostgreSQL", &[in_, (b'Z', b"")]),
            ("makes no sense", &[(b'R', &[0, 0, 0, 0, 0]), ready]),
            ("makes no sense", &[in_, (b'R', &[0, 0, 0, 3]), ready]),
            // It would have to show that it knows the password.
            ("does not know the password", &[scram, in_, ready]),
            (
                "does not know the password",
                &[scram, (b'R', b"\0\0\0\x0cv=AAAA"), ready],
            ),
            ("makes no sense", &[(b'R', b"\0\0\0\x0cv=AAAA"), in_, ready]),
        ] {
            let why = refusal(messages).unwrap_or_default();
            assert!(why.contains(words), "{messages:?}: {why}");
        }
    }

    #[test]
    fn the_md5_password_is_libpqs() {
        // select 'md5' || md5(md5('secret' || 'bob') || E'\\x01020304'::bytea)
        assert_eq!(
            md5_password("bob", "secret", &[1, 2, 3, 4]),
            format!(
                "md5{:x}",
                md5::compute(
                    [
                        format!("{:x}", md5::compute("secretbob")).as_bytes(),
                        &[1, 2, 3, 4]
                    ]
                    .concat()
                )
            )
        );
    }

    proptest::proptest! {
        #[test]
        fn no_row_makes_it_panic(body in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
            let _ = data_row(&body);
            let _ = server_error(&body, &Secrets::default());
        }
    }
}
