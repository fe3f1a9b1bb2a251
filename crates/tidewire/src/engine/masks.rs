//! Mask keys for the client's role: unpredictable (RFC 6455, section 5.3), drawn from the system in large portions.

const PORTION: usize = 4096;

#[derive(Debug, Default)]
pub(crate) struct Masks {
    keys: Vec<u8>,
}

impl Masks {
    /// A fresh key.
    pub fn next(&mut self) -> [u8; 4] {
        if self.keys.len() < 4 {
            self.keys.resize(PORTION, 0);
            if let Err(error) = getrandom::fill(&mut self.keys) {
                // A predictable key would let a page write chosen bytes to the wire: better no frame at all.
                panic!("the system gives no random bytes: {error}");
            }
        }
        let key = self.keys.last_chunk().copied().unwrap_or_default();
        self.keys.truncate(self.keys.len() - 4);
        key
    }
}
