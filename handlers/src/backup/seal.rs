//! Sealing: what may name a patient, and the keys, leave the machine as age files (age-encryption.org/v1) only.
//!
//! Keys are wrapped with the passphrase of a person. What the store itself seals (sources, copies of originals) is sealed with
//! a passphrase made from the stream key, 128 bits that nobody can guess, so scrypt need not slow anyone down there: whoever
//! has the keys can open it, a nightly backup asks nobody, and the stock `age` tool opens both.

use std::io::{self, Read, Write};

use age::secrecy::{ExposeSecret, SecretString};
use domain::ids::Keys;

/// 2^n rounds of scrypt for a passphrase that a person made: about a second and 256 MiB, as the age tool has it.
pub const PERSON_LOG_N: u8 = 18;
/// More than this is refused when opening: 1 GiB of memory.
const LOG_N_MAX: u8 = 20;
/// For the passphrase that is made from a key.
const KEY_LOG_N: u8 = 1;

/// A passphrase; never printed.
#[derive(Clone)]
pub struct Passphrase {
    text: SecretString,
    log_n: u8,
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[passphrase]")
    }
}

impl Passphrase {
    /// Takes the passphrase of a person.
    pub fn of_person(text: String) -> Self {
        Self { text: text.into(), log_n: PERSON_LOG_N }
    }

    /// Has scrypt work 2^`log_n` rounds; fewer are for tests.
    #[must_use]
    pub fn with_work(mut self, log_n: u8) -> Self {
        self.log_n = log_n.clamp(1, LOG_N_MAX);
        self
    }

    /// Returns how many characters it has.
    pub fn chars(&self) -> usize {
        self.text.expose_secret().chars().count()
    }

    /// Returns the passphrase under which a store of these keys seals its own things.
    pub fn of_store(keys: &Keys) -> Self {
        let text = keys.stream.keyed_hash("backup", &[b"sealed"]).to_string();
        Self { text: text.into(), log_n: KEY_LOG_N }
    }

    /// Writes what `from` holds to `to`, sealed, and returns how many bytes there were.
    ///
    /// # Errors
    /// Those of reading and writing.
    pub fn seal(&self, from: &mut dyn Read, to: &mut dyn Write) -> io::Result<u64> {
        let mut recipient = age::scrypt::Recipient::new(self.text.clone());
        recipient.set_work_factor(self.log_n);
        let recipients = std::iter::once(&recipient as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(recipients).map_err(io::Error::other)?;
        let mut sealed = encryptor.wrap_output(to)?;
        let bytes = io::copy(from, &mut sealed)?;
        // The last chunk is marked as such: without it, opening fails.
        sealed.finish()?;
        Ok(bytes)
    }

    /// Writes what `from` seals to `to`; nothing of it may be used before this returned.
    ///
    /// # Errors
    /// `InvalidData` when it is no age file, was altered or cut; `PermissionDenied` when the passphrase is another.
    pub fn open(&self, from: &mut dyn Read, to: &mut dyn Write) -> io::Result<u64> {
        let mut identity = age::scrypt::Identity::new(self.text.clone());
        identity.set_max_work_factor(LOG_N_MAX);
        let decryptor = age::Decryptor::new(from).map_err(told)?;
        let mut opened = decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity)).map_err(told)?;
        io::copy(&mut opened, to)
    }
}

fn told(error: age::DecryptError) -> io::Error {
    match error {
        age::DecryptError::Io(error) => error,
        age::DecryptError::DecryptionFailed
        | age::DecryptError::KeyDecryptionFailed
        | age::DecryptError::NoMatchingKeys => {
            io::Error::new(io::ErrorKind::PermissionDenied, "another passphrase, or the file was altered")
        }
        _ => io::Error::new(io::ErrorKind::InvalidData, "not an age file that this program opens, or it was altered"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::of_person(text.to_owned()).with_work(2)
    }

    #[test]
    fn what_was_sealed_comes_back_with_its_passphrase_alone() {
        let (mut sealed, mut opened) = (Vec::new(), Vec::new());
        passphrase("a long one").seal(&mut &b"DOE^JANE"[..], &mut sealed).expect("seal");
        assert!(sealed.starts_with(b"age-encryption.org/v1") && !sealed.windows(3).any(|bytes| bytes == b"DOE"));
        passphrase("a long one").open(&mut sealed.as_slice(), &mut opened).expect("open");
        assert_eq!(opened, b"DOE^JANE");
        let other = passphrase("another").open(&mut sealed.as_slice(), &mut Vec::new()).expect_err("refused");
        assert_eq!(other.kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn the_passphrase_of_a_store_is_the_one_that_the_adr_describes() {
        use domain::ids::Key;
        let keys = Keys { stream: Key::new([1; 32]), index: Vec::new(), mapping: Key::new([3; 32]) };
        // HMAC-SHA256 by another hand (Python) over `medimg/v1/backup`, 00 00 00 06, `sealed`; docs/adr/0009.
        assert_eq!(Passphrase::of_store(&keys).text.expose_secret(), "182428617bf7cbfa5ed62ab35b7b7a7b");
    }

    #[test]
    fn a_changed_byte_and_a_cut_are_found_anywhere() {
        let mut sealed = Vec::new();
        passphrase("a long one").seal(&mut &[7; 100][..], &mut sealed).expect("seal");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(passphrase("a long one").open(&mut changed.as_slice(), &mut Vec::new()).is_err(), "byte {at}");
            assert!(passphrase("a long one").open(&mut &sealed[..at], &mut Vec::new()).is_err(), "cut at {at}");
        }
    }
}
