//! Bytes that nobody can guess.

#![expect(unsafe_code, reason = "system calls")]

use std::io;

/// Random bytes of the system's: unguessable (getrandom(2)).
///
/// None: the system has none to give, as early at boot or under a filter of system calls.
#[must_use]
pub fn bytes() -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    loop {
        // SAFETY: the pointer and the length are those of a live array.
        let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        match usize::try_from(got) {
            Ok(count) if count == bytes.len() => return Some(bytes),
            Ok(_) => {}
            Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn they_differ() {
        let first = super::bytes().unwrap();
        assert_ne!(super::bytes(), Some(first));
        assert_ne!(first, [0; 16]);
    }
}
