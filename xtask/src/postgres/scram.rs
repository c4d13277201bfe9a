//! SCRAM-SHA-256 (RFC 5802, RFC 7677), the client's side. Passwords are not normalised (SASLprep):
//! for ASCII that changes nothing, and PostgreSQL takes unnormalised ones as they are.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac_sha256::{HMAC, Hash};

/// More iterations than this only burn time: PostgreSQL uses 4096.
const MAX_ITERATIONS: u32 = 1_000_000;

/// After so many rounds the clock is asked.
const ROUNDS_AT_ONCE: u32 = 4096;

/// Why a challenge gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It makes no sense.
    Nonsense,
    /// The deadline passed while it was worked on.
    TooLate,
}

/// What PostgreSQL keeps of a random password, in place of the password: `CREATE ROLE`, `ALTER ROLE` and
/// initdb's `--pwfile` take it as it is (PostgreSQL's manual, `pg_authid.rolpassword`).
///
/// One round: the rounds are there to make guessing a short password slow, and cost every login of every
/// client 3 ms and more. Nobody guesses a random one of 128 bits or more, however quick a guess is; do not
/// use this for one that a person has chosen.
pub(super) fn verifier_of_random(password: &str, salt: [u8; 16]) -> String {
    // One round of PBKDF2 is one HMAC.
    let salted = HMAC::mac([&salt[..], &[0, 0, 0, 1]].concat(), password.as_bytes());
    let stored_key = Hash::hash(&HMAC::mac(b"Client Key", salted));
    let server_key = HMAC::mac(b"Server Key", salted);
    let [salt, stored_key, server_key] =
        [&salt[..], &stored_key, &server_key].map(|it| BASE64.encode(it));
    format!("SCRAM-SHA-256$1:{salt}${stored_key}:{server_key}")
}

/// One exchange.
pub(super) struct Scram {
    password: String,
    nonce: String,
    server_signature: Option<[u8; 32]>,
}

impl Scram {
    /// `nonce`: printable, without a comma, new for each exchange.
    pub(super) fn new(password: &str, nonce: String) -> Scram {
        Scram {
            password: password.to_owned(),
            nonce,
            server_signature: None,
        }
    }

    /// The first message. PostgreSQL takes the user from the startup message, not from here.
    pub(super) fn first(&self) -> String {
        format!("n,,n=,r={}", self.nonce)
    }

    /// The answer to the server's challenge. A challenge that cannot be answered before the deadline
    /// gets none: a server may ask for as much work as it likes.
    pub(super) fn answer(&mut self, challenge: &str, deadline: Instant) -> Result<String, Refusal> {
        self.answer_as("", challenge, deadline)
    }

    fn answer_as(
        &mut self,
        user: &str,
        challenge: &str,
        deadline: Instant,
    ) -> Result<String, Refusal> {
        let field = |name: &str| {
            challenge
                .split(',')
                .find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
        };
        let nonce = field("r")
            .filter(|nonce| nonce.starts_with(&self.nonce))
            .ok_or(Refusal::Nonsense)?;
        let salt = field("s")
            .and_then(|salt| BASE64.decode(salt).ok())
            .ok_or(Refusal::Nonsense)?;
        let iterations = field("i")
            .and_then(|n| n.parse().ok())
            .filter(|n| (1..=MAX_ITERATIONS).contains(n))
            .ok_or(Refusal::Nonsense)?;

        let salted = pbkdf2(self.password.as_bytes(), &salt, iterations, deadline)
            .ok_or(Refusal::TooLate)?;
        let client_key = HMAC::mac(b"Client Key", salted);
        let stored_key = Hash::hash(&client_key);
        let without_proof = format!("c=biws,r={nonce}"); // "biws" is "n,," in Base64.
        let signed = format!("n={user},r={},{challenge},{without_proof}", self.nonce);
        let signature = HMAC::mac(signed.as_bytes(), stored_key);
        let proof: Vec<u8> = client_key
            .iter()
            .zip(signature)
            .map(|(key, sign)| key ^ sign)
            .collect();
        let server_key = HMAC::mac(b"Server Key", salted);
        self.server_signature = Some(HMAC::mac(signed.as_bytes(), server_key));
        Ok(format!("{without_proof},p={}", BASE64.encode(proof)))
    }

    /// Whether the server has shown that it knows the password too.
    pub(super) fn verify(&self, last: &str) -> bool {
        let Some(expected) = self.server_signature else {
            return false;
        };
        last.strip_prefix("v=")
            .and_then(|text| BASE64.decode(text).ok())
            .is_some_and(|signature| signature == expected)
    }
}

/// PBKDF2 with HMAC-SHA-256 and one block (RFC 8018); `None` when the deadline passes.
///
/// The 4,096 rounds are most of the time of a login. HMAC is spelled out over `Hash::hash`, as that is not
/// generic: so it is optimised with its crate (Cargo.toml) where we are not.
fn pbkdf2(password: &[u8], salt: &[u8], iterations: u32, deadline: Instant) -> Option<[u8; 32]> {
    const BLOCK: usize = 64;
    let mut key = [0; BLOCK];
    if password.len() > BLOCK {
        key[..32].copy_from_slice(&Hash::hash(password));
    } else {
        key[..password.len()].copy_from_slice(password);
    }
    // What each of the thousands of hashes begins with is hashed once.
    let begun = |pad: u8| {
        let mut hash = Hash::new();
        hash.update(key.map(|byte| byte ^ pad));
        hash
    };
    let (inner, outer) = (begun(0x36), begun(0x5c));
    let mut block = HMAC::mac([salt, &[0, 0, 0, 1]].concat(), password);
    let mut result = halves(block);
    for round in 1..iterations {
        if round % ROUNDS_AT_ONCE == 0 && Instant::now() >= deadline {
            return None;
        }
        for mut hash in [inner, outer] {
            hash.update(block);
            block = hash.finalize();
        }
        let [left, right] = halves(block);
        result = [result[0] ^ left, result[1] ^ right];
    }
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&result[0].to_ne_bytes());
    bytes[16..].copy_from_slice(&result[1].to_ne_bytes());
    Some(bytes)
}

fn halves(block: [u8; 32]) -> [u128; 2] {
    let (mut left, mut right) = ([0; 16], [0; 16]);
    left.copy_from_slice(&block[..16]);
    right.copy_from_slice(&block[16..]);
    [u128::from_ne_bytes(left), u128::from_ne_bytes(right)]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    /// The exchange of RFC 7677, section 3.
    #[test]
    fn the_example_of_the_rfc() {
        let mut scram = Scram::new("pencil", "rOprNGfwEbeRWgbNEkqO".to_owned());
        let challenge = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                         s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        assert_eq!(
            scram.answer_as("user", challenge, later()).unwrap(),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert!(scram.verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        assert!(!scram.verify("v=AAAATRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
    }

    #[test]
    fn a_challenge_that_makes_no_sense_is_refused() {
        for bad in [
            "",
            "r=other,s=AAAA,i=1",
            "r=nX,s=*,i=1",
            "r=nX,s=AAAA,i=0",
            "r=nX,s=AAAA,i=99999999",
        ] {
            let answer = Scram::new("p", "n".to_owned()).answer(bad, later());
            assert_eq!(answer, Err(Refusal::Nonsense), "{bad}");
        }
    }

    /// What the server keeps is what it needs to check an answer and to sign its own (RFC 5802, section 3).
    #[test]
    fn the_verifier_accepts_the_password_and_no_other() {
        let verifier = verifier_of_random("from a generator", [7; 16]);
        let (rounds, keys) = verifier
            .strip_prefix("SCRAM-SHA-256$")
            .and_then(|it| it.split_once('$'))
            .unwrap();
        let (rounds, salt) = rounds.split_once(':').unwrap();
        let (stored_key, server_key) = keys.split_once(':').unwrap();
        let challenge = format!("r=nX,s={salt},i={rounds}");
        let signed = format!("n=,r=n,{challenge},c=biws,r=nX");
        let signature = HMAC::mac(signed.as_bytes(), BASE64.decode(stored_key).unwrap());
        for (password, good) in [("from a generator", true), ("from a generatoR", false)] {
            let mut scram = Scram::new(password, "n".to_owned());
            let answer = scram.answer(&challenge, later()).unwrap();
            let proof = BASE64.decode(answer.rsplit_once("p=").unwrap().1).unwrap();
            let client_key: Vec<u8> = proof.iter().zip(signature).map(|(a, b)| a ^ b).collect();
            assert_eq!(BASE64.encode(Hash::hash(&client_key)) == stored_key, good);
            let last = HMAC::mac(signed.as_bytes(), BASE64.decode(server_key).unwrap());
            assert_eq!(scram.verify(&format!("v={}", BASE64.encode(last))), good);
        }
    }

    /// A server that asks for a million rounds does not hold a probe of half a second for longer.
    #[test]
    fn work_ends_at_the_deadline() {
        let challenge = "r=nX,s=AAAA,i=1000000";
        let answer = Scram::new("p", "n".to_owned()).answer(challenge, Instant::now());
        assert_eq!(answer, Err(Refusal::TooLate));
    }

    /// The definition, with the crate's own HMAC: also for a password that is longer than a block.
    #[test]
    fn the_rounds_are_those_of_the_definition() {
        for password in [&b""[..], b"secret", &[b'x'; 64], &[b'y'; 200]] {
            let mut block = HMAC::mac(b"salt\0\0\0\x01", password);
            let mut expected = block;
            for _ in 1..50 {
                block = HMAC::mac(block, password);
                expected
                    .iter_mut()
                    .zip(block)
                    .for_each(|(sum, byte)| *sum ^= byte);
            }
            assert_eq!(pbkdf2(password, b"salt", 50, later()), Some(expected));
        }
    }
}
